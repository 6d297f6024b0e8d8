// The database by HTTP, for a route that asks it itself.

package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// origin answers with the rows of one database at a time.
type origin struct {
	db   atomic.Pointer[database]
	srv  http.Server
	ln   net.Listener
	open sync.WaitGroup
}

func startOrigin() (*origin, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot start the database: %w", err)
	}
	o := &origin{ln: ln}
	o.srv.Handler = o
	o.open.Go(func() { _ = o.srv.Serve(ln) }) // says that it was closed
	return o, nil
}

// url is where rows are, by key.
func (o *origin) url() string { return "http://" + o.ln.Addr().String() + "/%k" }

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k := strings.TrimPrefix(r.URL.Path, "/")
	n, err := strconv.Atoi(strings.TrimPrefix(k, "row"))
	db := o.db.Load()
	if err != nil || n < 0 || n >= len(db.rows) {
		http.NotFound(w, r)
		return
	}
	row := &db.rows[n]
	row.fill.RLock()
	v := db.query(row)
	row.fill.RUnlock()
	fmt.Fprint(w, value(k, v))
}

func (o *origin) close() {
	_ = o.srv.Close()
	o.open.Wait()
}
