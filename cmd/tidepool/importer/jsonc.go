// JSON with comments, as mcrouter reads it, with the line of every value.

package importer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jkind is what a value is.
type jkind string

const (
	jNull   jkind = "null"
	jBool   jkind = "a boolean"
	jNumber jkind = "a number"
	jString jkind = "a string"
	jArray  jkind = "an array"
	jObject jkind = "an object"
)

// jvalue is a value and where it stands.
type jvalue struct {
	kind  jkind
	line  int
	text  string // of a string, or a number as written
	truth bool
	list  []*jvalue // of an array, and the values of an object
	keys  []jkey    // of an object
}

type jkey struct {
	name string
	line int
}

// get is the field of an object, or nil.
func (v *jvalue) get(name string) *jvalue {
	for i, k := range v.keys {
		if k.name == name {
			return v.list[i]
		}
	}
	return nil
}

// maxNesting keeps hostile input from the end of the stack.
const maxNesting = 200

// jreader reads one text.
type jreader struct {
	file string
	text []byte
	at   int
	line int
	deep int
}

func readJSON(file string, text []byte) (*jvalue, error) {
	r := &jreader{file: file, text: text, line: 1}
	v, err := r.value()
	if err != nil {
		return nil, err
	}
	if err := r.space(); err != nil {
		return nil, err
	}
	if r.at < len(r.text) {
		return nil, r.fail("want the end of the file, got %s", r.here())
	}
	return v, nil
}

func (r *jreader) fail(format string, args ...any) error {
	return &Error{r.file, r.line, fmt.Sprintf(format, args...)}
}

// here quotes what comes next.
func (r *jreader) here() string {
	rest, _, _ := strings.Cut(string(r.text[r.at:min(len(r.text), r.at+30)]), "\n")
	if rest == "" {
		return "the end of the line or file"
	}
	return strconv.Quote(rest)
}

// space passes blanks and comments.
func (r *jreader) space() error {
	for r.at < len(r.text) {
		rest := r.text[r.at:]
		switch c := rest[0]; {
		case c == '\n':
			r.line++
			r.at++
		case c == ' ' || c == '\t' || c == '\r':
			r.at++
		case strings.HasPrefix(string(rest[:min(2, len(rest))]), "//"):
			for r.at < len(r.text) && r.text[r.at] != '\n' {
				r.at++
			}
		case strings.HasPrefix(string(rest[:min(2, len(rest))]), "/*"):
			end := strings.Index(string(rest), "*/")
			if end < 0 {
				return r.fail("a comment has no end")
			}
			r.line += strings.Count(string(rest[:end]), "\n")
			r.at += end + 2
		default:
			return nil
		}
	}
	return nil
}

func (r *jreader) value() (*jvalue, error) {
	if err := r.space(); err != nil {
		return nil, err
	}
	if r.deep++; r.deep > maxNesting {
		return nil, r.fail("more than %d values are nested", maxNesting)
	}
	defer func() { r.deep-- }()
	v := &jvalue{line: r.line}
	if r.at == len(r.text) {
		return nil, r.fail("want a value, got the end of the file")
	}
	switch c := r.text[r.at]; {
	case c == '{':
		return v, r.object(v)
	case c == '[':
		return v, r.array(v)
	case c == '"':
		v.kind = jString
		var err error
		v.text, err = r.str()
		return v, err
	case c == '-' || c >= '0' && c <= '9':
		from := r.at
		for r.at < len(r.text) && strings.IndexByte("+-.eE0123456789", r.text[r.at]) >= 0 {
			r.at++
		}
		v.kind, v.text = jNumber, string(r.text[from:r.at])
		if !json.Valid([]byte(v.text)) {
			return nil, r.fail("%q is no number", v.text)
		}
		return v, nil
	}
	for word, kind := range map[string]jkind{"true": jBool, "false": jBool, "null": jNull} {
		if strings.HasPrefix(string(r.text[r.at:min(len(r.text), r.at+6)]), word) {
			r.at += len(word)
			v.kind, v.truth = kind, word == "true"
			return v, nil
		}
	}
	return nil, r.fail("want a value, got %s", r.here())
}

// elements reads what stands between brackets, one by one; a comma before the end is allowed.
func (r *jreader) elements(end byte, one func() error) error {
	r.at++
	for first := true; ; first = false {
		if err := r.space(); err != nil {
			return err
		}
		if r.at < len(r.text) && !first {
			if r.text[r.at] != ',' && r.text[r.at] != end {
				return r.fail("want ',' or '%c', got %s", end, r.here())
			}
			if r.text[r.at] == ',' {
				r.at++
				if err := r.space(); err != nil {
					return err
				}
			}
		}
		if r.at == len(r.text) {
			return r.fail("want '%c', got the end of the file", end)
		}
		if r.text[r.at] == end {
			r.at++
			return nil
		}
		if err := one(); err != nil {
			return err
		}
	}
}

func (r *jreader) array(v *jvalue) error {
	v.kind = jArray
	return r.elements(']', func() error {
		e, err := r.value()
		v.list = append(v.list, e)
		return err
	})
}

func (r *jreader) object(v *jvalue) error {
	v.kind = jObject
	return r.elements('}', func() error {
		if r.text[r.at] != '"' {
			return r.fail("want a key in quotes, got %s", r.here())
		}
		line := r.line
		name, err := r.str()
		if err != nil {
			return err
		}
		if v.get(name) != nil {
			return r.fail("key %q is there twice", name)
		}
		if err := r.space(); err != nil {
			return err
		}
		if r.at == len(r.text) || r.text[r.at] != ':' {
			return r.fail("want ':' after key %q, got %s", name, r.here())
		}
		r.at++
		e, err := r.value()
		v.keys, v.list = append(v.keys, jkey{name, line}), append(v.list, e)
		return err
	})
}

// str reads a string that begins here.
func (r *jreader) str() (string, error) {
	from := r.at
	for r.at++; r.at < len(r.text) && r.text[r.at] != '"' && r.text[r.at] != '\n'; r.at++ {
		if r.text[r.at] == '\\' && r.at+1 < len(r.text) {
			r.at++
		}
	}
	if r.at >= len(r.text) || r.text[r.at] != '"' {
		return "", r.fail("a string has no end: %s", string(r.text[from:min(r.at, from+30)]))
	}
	r.at++
	quoted := r.text[from:r.at]
	var s string
	if !utf8.Valid(quoted) || json.Unmarshal(quoted, &s) != nil {
		return "", r.fail("%s is no string", quoted)
	}
	return s, nil
}
