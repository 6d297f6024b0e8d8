// Flushing: all items, or a namespace of them, on an operator's word.

package leaf

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// flushRequest is the longest request, in bytes.
const flushRequest = 4 << 10

// Flush makes the items unreadable whose keys begin with prefix; all if it is empty. What is written after the call stays.
// It returns when nothing that it covers can be read, which does not take long: see store.FlushPrefix.
func (l *Leaf) Flush(prefix []byte) error {
	switch {
	case l.local == nil:
		return errors.New("this leaf has no store of its own")
	case len(prefix) > mc.MaxKey:
		return fmt.Errorf("prefix of %d bytes, want at most %d", len(prefix), mc.MaxKey)
	case len(prefix) == 0:
		l.local.Store.FlushAll(0)
	default:
		if err := l.local.Store.FlushPrefix(prefix); err != nil {
			return err
		}
	}
	l.count.flushes.Add(1)
	l.o.Log.Info("flushed", "leaf", l.o.Name, "prefix", string(prefix), "all", len(prefix) == 0)
	return nil
}

// offerFlush subscribes to requests to flush.
func (l *Leaf) offerFlush() error { return l.subscribe(frame.FlushSubject(l.o.Name), l.flush) }

// flush is the subscription's callback.
func (l *Leaf) flush(m *nats.Msg) {
	if m.Reply == "" {
		l.count.dropped.Add(1) // who flushes wants to know
		return
	}
	r := frame.FlushReply{Instance: l.instance}
	prefix, err := parseFlushRequest(m.Data)
	if err == nil {
		err = l.Flush(prefix)
	}
	if err != nil {
		r.Error = err.Error()
	}
	b, err := json.Marshal(&r)
	if err != nil {
		panic(err) // a number and a text: cannot happen
	}
	_ = l.nc.Publish(m.Reply, b) // if it is lost, whoever asked asks again
}

// parseFlushRequest gives the prefix to flush; empty for all.
func parseFlushRequest(data []byte) ([]byte, error) {
	var q frame.FlushRequest
	switch {
	case len(data) > flushRequest, json.Unmarshal(data, &q) != nil:
		return nil, errors.New("cannot read request to flush: no JSON of one")
	case q.All && len(q.Prefix) > 0:
		return nil, errors.New("want a prefix or all, not both")
	case !q.All && len(q.Prefix) == 0:
		return nil, errors.New("want a prefix, or all")
	}
	return q.Prefix, nil
}
