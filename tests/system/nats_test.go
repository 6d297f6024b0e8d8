// NATS's command line, as README and docs/nats.md show it, against the NATS face.

package system_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// natsLine is a command line of NATS's own tool: nats [-s SERVER] req SUBJECT BODY [-H NAME:VALUE]...
type natsLine struct {
	where, text, subject, body string
	headers                    []string
}

// natsLines reads them off a document, in its order.
func natsLines(t *testing.T, path string) (all []natsLine) {
	t.Helper()
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(doc), "\n") {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "nats ") {
			continue
		}
		l := natsLine{where: fmt.Sprintf("%s:%d", path, n+1), text: line}
		words := strings.Split(strings.TrimSuffix(shell(t, `printf '%s\0' `+line), "\x00"), "\x00") // as the shell cuts it
		var plain []string
		for i := 1; i < len(words); i++ {
			switch words[i] {
			case "-s":
				i++
			case "-H":
				i++
				l.headers = append(l.headers, words[i])
			default:
				plain = append(plain, words[i])
			}
		}
		if len(plain) != 3 || plain[0] != "req" {
			t.Fatalf("%s: %q: want nats req SUBJECT BODY", l.where, plain)
		}
		l.subject, l.body = plain[1], plain[2]
		all = append(all, l)
	}
	return all
}

// ask sends what the tool sends: each header cut at its first colon and trimmed, and a reply subject of its own.
func (l *natsLine) ask(t *testing.T, nc *nats.Conn) *nats.Msg {
	t.Helper()
	m := &nats.Msg{Subject: l.subject, Data: []byte(l.body), Header: nats.Header{}, Reply: nats.NewInbox()}
	for _, h := range l.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			t.Fatalf("%s: header %q", l.where, h)
		}
		m.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	sub, err := nc.SubscribeSync(m.Reply)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	r, err := sub.NextMsg(patience)
	if err != nil {
		t.Fatalf("%s: %s: %v", l.where, l.text, err)
	}
	return r
}

// TestNATSCommandLine runs the documents' command lines: as the tool would send them, and with the tool itself where it is installed.
func TestNATSCommandLine(t *testing.T) {
	port := freePort(t)
	p := start(t, "dev", "--leaves", "1", "--leaf-port", port, "--listen", "127.0.0.1:0", "--admin", "none", "--nats-face", "nats://127.0.0.1:"+port)
	p.logged(0, "NATS face serves")
	nc, err := nats.Connect("nats://127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	tool, _ := exec.LookPath("nats")
	if tool == "" {
		t.Log("nats is not installed: what it sends is sent without it")
	}
	for _, doc := range []string{"../../README.md", "../../docs/nats.md"} {
		lines := natsLines(t, doc)
		if len(lines) < 2 {
			t.Errorf("%s shows %d command lines of nats", doc, len(lines))
		}
		stored := ""
		for _, l := range lines {
			status, value := "hit", stored
			if strings.Contains(l.text, "op:set") {
				status, value, stored = "stored", "", l.body
			}
			if r := l.ask(t, nc); r.Header.Get("status") != status || string(r.Data) != value {
				t.Errorf("%s: %s: %q %q, want %s %q", l.where, l.text, r.Header, r.Data, status, value)
			}
			if tool == "" {
				continue
			}
			args := []string{"-s", "127.0.0.1:" + port, "req", l.subject, l.body}
			for _, h := range l.headers {
				args = append(args, "-H", h)
			}
			out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "status: "+status) || !strings.Contains(string(out), value) {
				t.Errorf("%s: nats %q: %v\n%s", l.where, args, err, out)
			}
		}
	}
}
