// Package churn is a test in which leaves come and go for as long as asked, under load whose every answer is verified.
//
// A real etcd, five leaves, two proxies; every few seconds a leaf joins, comes back, is told to stop, is killed, or is cut off from its proxies,
// from etcd or from both. Clients go through both proxies at random, so what one of them was told holds for what the other answers. `make churn` runs
// it for long, `go test` for some seconds. All of it is this package's tests.
package churn
