// tidepool leaf keys, and how its lines look.

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/leaf/stream"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend/leafnats"
)

// oneLeafFlags say which leaf a command is about, in a proxy's words.
type oneLeafFlags struct {
	from   string
	client clientFlags
}

func (f *oneLeafFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.from, "from", "", "`address` of the leaf, as in a pool: nats://host:port, nats://host:port/NAME, tls://...")
	f.client.add(fs, "leaf-", "the leaf")
}

// problem says what cannot be meant, or "".
func (f *oneLeafFlags) problem() string {
	if f.from == "" {
		return "want --from nats://host:port/NAME"
	}
	a, err := pools.ParseAddr(f.from)
	switch {
	case err != nil:
		return err.Error()
	case a.Kind != pools.Leaf:
		return fmt.Sprintf("%q is no leaf's address: want --from nats://host:port/NAME", a)
	}
	return f.client.problem()
}

// dial connects to the leaf.
func (f *oneLeafFlags) dial(log *slog.Logger) (nc *nats.Conn, name string, err error) {
	way, err := f.client.way(log)
	if err != nil {
		return nil, "", err
	}
	return leafnats.Dial(f.from, way, nats.Name("tidepool leaf"))
}

// prefixProblem says what no key can begin with, or "".
func prefixProblem(prefix string) string {
	if len(prefix) > mc.MaxKey {
		return fmt.Sprintf("prefix of %d bytes: want at most %d, the longest key", len(prefix), mc.MaxKey)
	}
	return ""
}

// keysFlags are those of tidepool leaf keys.
type keysFlags struct {
	leaf    oneLeafFlags
	log     logFlags
	prefix  string
	format  string
	limit   int64
	hottest bool
}

func newLeafKeysCommand() *cobra.Command {
	var f keysFlags
	c := &cobra.Command{
		Use:   "keys --from ADDR",
		Short: "List a leaf's keys, a line each",
		Long: `List the keys of a leaf while it serves, with size, TTL and CAS, in no order or the hottest first. A key that is there
throughout comes exactly once; one that comes or goes meanwhile may be missed. If not all could be read, the exit code is 1.

A line has the words of memcached's "lru_crawler metadump", and more at its end:

  key=user%3A1 exp=1767225600 la=1767222000 cas=9 fetch=yes size=120 flags=0 ttl=3600

The key's bytes but A-Z a-z 0-9 - . _ ~ are written as % and two digits; exp and la (last access) are Unix seconds; exp and
ttl are -1 for ever; size is the value's. --format json gives an object a line, --format keys the key alone.`,
		Example: `  tidepool leaf keys --from nats://127.0.0.1:4301
  tidepool leaf keys --from nats://127.0.0.1:4301/leaf-2 --prefix user: --hottest --limit 100
  tidepool leaf keys --from tls://leaf.example:4301 --leaf-creds ops.creds --format json`,
		Args: noArgs,
	}
	fs := c.Flags()
	f.leaf.add(fs)
	fs.StringVar(&f.prefix, "prefix", "", "what keys must begin with")
	fs.StringVar(&f.format, "format", "metadump", "metadump, json or keys")
	fs.Int64Var(&f.limit, "limit", 0, "most keys (default: all)")
	fs.BoolVar(&f.hottest, "hottest", false, "what was read most first, in five classes")
	f.log.add(fs)
	c.RunE = func(c *cobra.Command, _ []string) error { return listKeys(c, &f) }
	return c
}

func listKeys(c *cobra.Command, f *keysFlags) (err error) {
	bad := func(problem string) error { return usageError{c.CommandPath(), problem} }
	line := map[string]func([]byte, *store.Listed, time.Time) []byte{"metadump": dumpLine, "json": jsonLine, "keys": keyLine}[f.format]
	switch p := f.leaf.problem(); {
	case p != "":
		return bad(p)
	case line == nil:
		return bad(fmt.Sprintf("invalid argument %q for \"--format\" flag: want metadump, json or keys", f.format))
	case f.limit < 0:
		return bad(fmt.Sprintf("invalid argument \"%d\" for \"--limit\" flag: want none below 0", f.limit))
	case prefixProblem(f.prefix) != "":
		return bad(prefixProblem(f.prefix))
	}
	log, err := f.log.logger(c.ErrOrStderr())
	if err != nil {
		return bad(err.Error())
	}
	nc, name, err := f.leaf.dial(log)
	if err != nil {
		return fmt.Errorf("cannot list keys: %w", err)
	}
	defer nc.Close()
	q := frame.StreamRequest{Mode: frame.StreamKeys, Prefix: []byte(f.prefix), Limit: f.limit}
	if f.hottest {
		q.Order = frame.StreamHottest
	}
	out := bufio.NewWriterSize(c.OutOrStdout(), 64<<10)
	var buf []byte
	_, err = stream.Read(c.Context(), nc, name, q, func(l *store.Listed) error {
		buf = line(buf[:0], l, time.Now())
		_, err := out.Write(buf)
		return err
	})
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		return fmt.Errorf("cannot list keys: %w", err)
	}
	return nil
}

// dumpLine appends a line like memcached's metadump.
func dumpLine(dst []byte, l *store.Listed, now time.Time) []byte {
	exp, ttl := times(l, now)
	fetch := "no"
	if l.Bits&store.BitFetched != 0 {
		fetch = "yes"
	}
	dst = appendURL(append(dst, "key="...), l.Key)
	return fmt.Appendf(dst, " exp=%d la=%d cas=%d fetch=%s size=%d flags=%d ttl=%d\n", exp, l.Access/1000, l.CAS, fetch, l.Size, l.Flags, ttl)
}

// keyLine appends the key alone.
func keyLine(dst []byte, l *store.Listed, _ time.Time) []byte {
	return append(appendURL(dst, l.Key), '\n')
}

// times are when an item expires in Unix seconds, and in how many seconds it does; -1: never.
func times(l *store.Listed, now time.Time) (exp, ttl int64) {
	if l.Exp == 0 {
		return -1, -1
	}
	return l.Exp / 1000, max(0, (l.Exp-now.UnixMilli()+999)/1000)
}

// appendURL appends a key as memcached's metadump writes it.
func appendURL(dst, key []byte) []byte {
	for _, c := range key {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			dst = append(dst, c)
		} else {
			dst = fmt.Appendf(dst, "%%%02X", c)
		}
	}
	return dst
}

// jsonLine appends an object. A key that is no text is in base64 under another name.
func jsonLine(dst []byte, l *store.Listed, now time.Time) []byte {
	exp, ttl := times(l, now)
	o := struct {
		Key       string `json:"key,omitempty"`
		KeyBase64 []byte `json:"key_base64,omitempty"`
		Size      int    `json:"size"`
		Exp       int64  `json:"exp"`
		TTL       int64  `json:"ttl"`
		Access    int64  `json:"la"`
		CAS       string `json:"cas"` // it may be more than JSON's numbers hold
		Flags     uint32 `json:"flags"`
		Fetched   bool   `json:"fetched"`
		Stale     bool   `json:"stale,omitempty"`
		Won       bool   `json:"won,omitempty"`
	}{
		Size: l.Size, Exp: exp, TTL: ttl, Access: l.Access / 1000, CAS: strconv.FormatUint(l.CAS, 10), Flags: l.Flags,
		Fetched: l.Bits&store.BitFetched != 0, Stale: l.Bits&store.BitStale != 0, Won: l.Bits&store.BitWon != 0,
	}
	if utf8.Valid(l.Key) {
		o.Key = string(l.Key)
	} else {
		o.KeyBase64 = l.Key
	}
	b, err := json.Marshal(&o)
	if err != nil {
		panic(err) // numbers and text: cannot happen
	}
	return append(append(dst, b...), '\n')
}
