module dataflow-runbooks/toolchain/gateway-api

go 1.25

require sigs.k8s.io/gateway-api v1.4.1 // indirect
