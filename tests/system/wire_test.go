// A client's connection as a test holds it: it says bytes and wants bytes. And admin, over HTTP.

package system_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// client is a raw connection.
type client struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &client{t: t, c: c, r: bufio.NewReader(c)}
}

func (c *client) says(s string) {
	c.t.Helper()
	_ = c.c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.c, s); err != nil {
		c.t.Fatalf("cannot say %.60q: %v", s, err)
	}
}

// sees wants exactly these bytes next.
func (c *client) sees(want string) {
	c.t.Helper()
	_ = c.c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
		rest, _ := c.r.Peek(c.r.Buffered())
		c.t.Fatalf("client sees %.300q, then %.300q (%v), want %.300q", got[:n], rest, err, want)
	}
}

// fence ends a dialogue's line: nothing else than what was said comes before its answer, so silence is seen, too.
const (
	fence       = "mn\r\n"
	fenceAnswer = "MN\r\n"
)

// ask says s and gives everything that comes for it.
func (c *client) ask(s string) string {
	c.t.Helper()
	c.says(s + fence)
	_ = c.c.SetReadDeadline(time.Now().Add(patience))
	var got strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("%.60q: got %.300q, then %v", s, got.String()+line, err)
		}
		if line == fenceAnswer {
			return got.String()
		}
		got.WriteString(line)
	}
}

// ends wants these bytes and then the end of the connection.
func (c *client) ends(want string) {
	c.t.Helper()
	_ = c.c.SetReadDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(c.r)
	if err != nil || string(got) != want {
		c.t.Fatalf("client sees %.300q (%v), want %q and the end", got, err, want)
	}
}

// http asks admin for a page, whatever the status.
func (p *proxy) http(method, page string) (status int, body string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.admin+page, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// get wants a page.
func (p *proxy) get(page string) string {
	p.t.Helper()
	status, body := p.http("GET", page)
	if status != 200 {
		p.t.Fatalf("GET %s: %d %s", page, status, body)
	}
	return body
}

// metrics scrapes as Prometheus does.
func (p *proxy) metrics() map[string]*dto.MetricFamily {
	p.t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(p.get("/metrics")))
	if err != nil {
		p.t.Fatalf("/metrics: %v", err)
	}
	return families
}

// sum adds up a metric over its labels.
func (p *proxy) sum(name string) (total float64) {
	p.t.Helper()
	f := p.metrics()[name]
	if f == nil {
		p.t.Fatalf("/metrics has no %s", name)
	}
	for _, m := range f.Metric {
		total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return total
}

// ready waits until every pool has a backend that is up.
func (p *proxy) ready() {
	p.t.Helper()
	eventually(p.t, "/readyz?pools=1", func() bool {
		status, _ := p.http("GET", "/readyz?pools=1")
		return status == 200
	})
}
