//go:build !unix

// Processor time of this process, for stats: not known here.

package command

func appendUsage(dst []byte) []byte { return dst }
