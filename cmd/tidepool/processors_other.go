//go:build !unix

// Elsewhere the number of processors stays what Go makes it.

package main

import "time"

func processorTime() (time.Duration, bool) { return 0, false }
func processorWait() (time.Duration, bool) { return 0, false }
