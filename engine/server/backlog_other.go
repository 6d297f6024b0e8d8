//go:build !unix

// The length of a listener's queue of clients: the system's own.

package server

func setBacklog(int, int) error { return nil }
