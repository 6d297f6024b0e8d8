// getopt, by what it makes of command lines.

package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestGetopt(t *testing.T) {
	known := []option{{'v', "verbose", false}, {'p', "port", true}, {'o', "extended", true}, {'d', "daemon", false}}
	for args, want := range map[string]string{
		"":                       "[]",
		"-vv":                    "[v v]",
		"-vp11211":               "[v p11211]",
		"-p 11211 -d":            "[p11211 d]",
		"--port=1 --port 2":      "[p1 p2]",
		"--verbose --":           "[v]",
		"-o a,b=c --extended x=": "[oa,b=c ox=]",
		"-p -v":                  "[p-v]",
		"-x":                     `unknown option "-x"`,
		"-vx":                    `unknown option "-x"`,
		"-p":                     `option "-p" wants an argument`,
		"--port":                 `option "--port" wants an argument`,
		"--verbose=1":            `option "--verbose" takes no argument, got "1"`,
		"--nothing":              `unknown option "--nothing"`,
		"-v file":                `unexpected argument "file"`,
		"-v -- file":             `unexpected argument "file"`,
		"-":                      `unexpected argument "-"`,
	} {
		all, err := getopt(strings.Fields(args), known)
		words := []string{}
		for _, g := range all {
			words = append(words, string(g.short)+g.arg)
		}
		got := fmt.Sprint(words)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", args, got, want)
		}
	}
}
