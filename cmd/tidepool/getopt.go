// Command lines as getopt_long reads them: -vv, -p11211, -p 11211, --port=11211.

package main

import (
	"fmt"
	"strings"
)

// option is one option of a command line in getopt's form.
type option struct {
	short byte
	long  string
	arg   bool // it takes an argument
}

// given is an option that was given.
type given struct {
	short byte
	arg   string
}

// getopt reads args. What is no option is an error, as no option that is not known.
func getopt(args []string, known []option) (all []given, err error) {
	find := func(match func(*option) bool) *option {
		for i := range known {
			if match(&known[i]) {
				return &known[i]
			}
		}
		return nil
	}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			if len(args) > 0 {
				return nil, fmt.Errorf("unexpected argument %q", args[0])
			}
		case strings.HasPrefix(word, "--"):
			name, value, has := strings.Cut(word[2:], "=")
			o := find(func(o *option) bool { return o.long == name })
			switch {
			case o == nil:
				return nil, fmt.Errorf("unknown option %q", "--"+name)
			case !o.arg && has:
				return nil, fmt.Errorf("option %q takes no argument, got %q", "--"+name, value)
			case o.arg && !has && len(args) == 0:
				return nil, fmt.Errorf("option %q wants an argument", "--"+name)
			case o.arg && !has:
				value, args = args[0], args[1:]
			}
			all = append(all, given{o.short, value})
		case len(word) > 1 && word[0] == '-':
			for rest := word[1:]; rest != ""; {
				c := rest[0]
				rest = rest[1:]
				o := find(func(o *option) bool { return o.short == c })
				switch {
				case o == nil:
					return nil, fmt.Errorf("unknown option %q", "-"+string(c))
				case !o.arg:
					all = append(all, given{c, ""})
					continue
				case rest == "" && len(args) == 0:
					return nil, fmt.Errorf("option %q wants an argument", "-"+string(c))
				case rest == "":
					rest, args = args[0], args[1:]
				}
				all = append(all, given{c, rest})
				rest = ""
			}
		default:
			return nil, fmt.Errorf("unexpected argument %q", word)
		}
	}
	return all, nil
}
