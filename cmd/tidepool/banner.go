// What tidepool dev says when it runs: where everything is, and three things to try that work on a bare machine.

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/admin"
	"github.com/tidepool-proxy/tidepool/leaf"
)

// banner is what is said.
type banner struct {
	clients []string
	leaves  []string // "leaf-1 nats://127.0.0.1:4301"
	memory  int64    // of each leaf, in bytes
	admin   string   // "" for none
	config  string
	pid     int
}

func (f *devFlags) banner(p *runningProxy, leaves []*leaf.Leaf, config string) *banner {
	b := &banner{clients: p.Addrs(), memory: f.memory, config: config, pid: os.Getpid()}
	for _, l := range leaves {
		b.leaves = append(b.leaves, l.Name()+" "+l.URL())
	}
	if p.admin != nil {
		b.admin = p.admin.Addr()
	}
	return b
}

// print is one write, so that no log line falls into it.
func (b *banner) print(w io.Writer) error {
	var s strings.Builder
	fmt.Fprintf(&s, "\ntidepool %s: a proxy over %d leaves, in one process\n\n", versionName(), len(b.leaves))
	fmt.Fprintf(&s, "  clients  %s\n", strings.Join(b.clients, ", "))
	for i, l := range b.leaves {
		head := "         "
		if i == 0 {
			head = "leaves   "
		}
		fmt.Fprintf(&s, "  %s%s, %s\n", head, l, formatSize(b.memory))
	}
	if b.admin != "" {
		fmt.Fprintf(&s, "  admin    %s\n", adminURL(b.admin))
	}
	fmt.Fprintf(&s, "  config   %s\n", b.config)

	s.WriteString("\nThree things to try:\n\n")
	for i, t := range b.tries() {
		fmt.Fprintf(&s, "  %d. %s\n     %s\n", i+1, t.what, t.command)
	}
	s.WriteString("\nCtrl-C stops.\n\n")
	_, err := io.WriteString(w, s.String())
	return err
}

// try is one thing to try: a shell command and what it shows.
type try struct{ what, command string }

func (b *banner) tries() []try {
	client := untagged(b.clients[0])
	tries := []try{{
		"store a value and read it back" + orWithoutNC(client),
		`printf 'set /foo/hello 0 0 5\r\nworld\r\nget /foo/hello\r\nquit\r\n' | ` + netcat(client),
	}}
	hup := fmt.Sprintf("kill -HUP %d", b.pid)
	reload := try{"change " + b.config + " and load it again; no connection is lost", hup}
	look := try{"see what it counted", `printf 'stats proxy\r\nquit\r\n' | ` + netcat(client)}
	if b.admin != "" {
		reload = try{reload.what + " (" + hup + " does the same)", "curl -X POST " + curlTarget(b.admin, "/reload")}
		look = try{"see what is loaded: /config, and what it counted: /metrics", "curl " + curlTarget(b.admin, "/config")}
	}
	return append(tries, reload, look)
}

// untagged is a client address without its listener's tag.
func untagged(addr string) string {
	if rest, ok := strings.CutPrefix(addr, "tag_"); ok {
		_, addr, _ = strings.Cut(rest, "_:")
	}
	return addr
}

// netcat is the shell's end of a pipe to a client address.
func netcat(addr string) string {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "nc -U " + path
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "nc " + addr
	}
	return "nc " + host + " " + port
}

// orWithoutNC names what nearly every machine has where nc is missing.
func orWithoutNC(addr string) string {
	if strings.HasPrefix(addr, "unix:") {
		return ""
	}
	return " (no nc? curl -s telnet://" + addr + " does the same)"
}

// adminURL is an admin address as a browser takes it.
func adminURL(addr string) string {
	if strings.HasPrefix(addr, "unix:") {
		return addr
	}
	return "http://" + addr
}

// curlTarget is the end of a curl command for a page of an admin address.
func curlTarget(addr, page string) string {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "--unix-socket " + path + " http://admin" + page
	}
	return "http://" + addr + page
}

// adminAddr is for the log: where admin is served.
func adminAddr(s *admin.Server) string {
	if s == nil {
		return noAdmin
	}
	return s.Addr()
}
