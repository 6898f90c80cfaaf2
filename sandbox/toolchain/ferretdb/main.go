// A MongoDB-compatible server for the sandbox: FerretDB over SQLite, with one user, as the mongo image makes it.
//
// FerretDB's embeddable package has no switch for its SCRAM authentication; its inner packages have. Go lets a
// module import them only when its path lies below theirs, hence this module's name.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/FerretDB/FerretDB/internal/clientconn"
	"github.com/FerretDB/FerretDB/internal/clientconn/connmetrics"
	"github.com/FerretDB/FerretDB/internal/handler/registry"
	"github.com/FerretDB/FerretDB/internal/util/password"
	"github.com/FerretDB/FerretDB/internal/util/state"
)

// Usage: ferretdb HOST:PORT, in the folder of its data. The user comes from the environment: no list of
// processes shows it.
func main() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn}))
	// What it warns of is every answer that is an error, with all that stands in it.
	connections := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelError}))
	user, secret := os.Getenv("MONGO_INITDB_ROOT_USERNAME"), os.Getenv("MONGO_INITDB_ROOT_PASSWORD")

	provider, err := state.NewProvider("")
	check(log, err)
	// Else it would ask its makers for a newer version.
	check(log, provider.Update(func(s *state.State) { s.DisableTelemetry(); s.TelemetryLocked = true }))

	metrics := connmetrics.NewListenerMetrics()
	options := &registry.NewHandlerOpts{
		Logger: log, ConnMetrics: metrics.ConnMetrics, StateProvider: provider, TCPHost: os.Args[1],
		// A path in a URL would have to be escaped twice; this one never has to.
		SQLiteURL: "file:./",
		TestOpts:  registry.TestOpts{CappedCleanupPercentage: 10, BatchSize: 100},
	}
	if user != "" && secret != "" {
		// Made only while there is no database `admin`: a later start keeps the first password.
		options.EnableNewAuth, options.SetupDatabase = true, "admin"
		options.SetupUsername, options.SetupPassword = user, password.WrapPassword(secret)
	}
	handler, closeBackend, err := registry.NewHandler("sqlite", options)
	check(log, err)
	defer closeBackend()
	listener, err := clientconn.Listen(&clientconn.NewListenerOpts{
		TCP: os.Args[1], Mode: clientconn.NormalMode, Metrics: metrics, Handler: handler, Logger: connections,
	})
	check(log, err)
	os.Stdout.WriteString("Waiting for connections on " + os.Args[1] + "\n")
	listener.Run(context.Background())
}

func check(log *slog.Logger, err error) {
	if err != nil {
		log.Error(err.Error())
		os.Exit(1)
	}
}
