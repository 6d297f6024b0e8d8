// Package churn is a test in which leaves come and go for as long as asked, under load whose every answer is verified.
//
// A real etcd of three members, five leaves, two proxies, and between any two of them a network that fails; every few seconds a leaf joins, comes back,
// is told to stop, is killed, or is cut off from its proxies, from etcd or from both, or a proxy is cut off from etcd. Meanwhile etcd's members are
// killed, one, the leader or all, cut off from one another, slowed, and told to forget their past. Clients go through both proxies at random, so what one
// of them was told holds for what the other answers. `make churn` runs it for long, `go test` for some seconds. All of it is this package's tests.
package churn
