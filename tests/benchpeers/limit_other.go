// Where processes have no limit of open files that is known here.

//go:build !unix

package main

func allowFiles(int) error { return nil }
