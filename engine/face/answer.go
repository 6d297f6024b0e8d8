// From the engine's answer to the message that goes back.

package face

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/face/wire"
	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// status is how a request went: its place in wire.Statuses.
type status uint8

const (
	statusHit status = iota
	statusMiss
	statusStored
	statusNotStored
	statusExists
	statusDeleted
	statusTouched
	statusError
	numStatuses
)

// statusValues are the values of the status header, made once: messages share them.
var statusValues = func() (all [numStatuses][]string) {
	for i, s := range wire.Statuses {
		all[i] = []string{s}
	}
	return all
}()

// succeeded is what a success that has no word of its own means to each operation.
var succeeded = [opNone]status{
	opGet: statusError, opSet: statusStored, opAdd: statusStored, opReplace: statusStored, opCAS: statusStored,
	opDel: statusDeleted, opIncr: statusStored, opDecr: statusStored, opTouch: statusTouched,
}

// judge says what an answer means to who asked for o. Routes may answer anything: what makes no sense is an error.
func judge(o op, r *mc.Response) status {
	switch r.Code {
	case mc.CodeEnd, mc.CodeNotFound:
		return statusMiss
	case mc.CodeNotStored:
		return statusNotStored
	case mc.CodeExists:
		return statusExists
	case mc.CodeStored, mc.CodeDeleted, mc.CodeTouched:
		return succeeded[o]
	case mc.CodeOK:
		switch {
		case o == opGet && r.HasValue():
			return getStatus(r)
		case o == opIncr || o == opDecr:
			if !r.HasValue() && r.Type != mc.TypeNumeric {
				return statusError
			}
		}
		return succeeded[o]
	}
	return statusError
}

// getStatus tells a value from the empty place of one that another client has promised to fill (mg with N): a miss is a status.
func getStatus(r *mc.Response) status {
	if r.VLen() == 0 {
		_, promised := r.Flag('Z')
		_, stale := r.Flag('X')
		if promised && !stale {
			return statusMiss
		}
	}
	return statusHit
}

// reply is an answer on its way out. It is reused: NATS copies what it is given.
type reply struct {
	msg    nats.Msg
	values [4][1]string // of headers
}

// begin makes the message one with that status and no more.
func (r *reply) begin(to string, s status) {
	if r.msg.Header == nil {
		r.msg.Header = nats.Header{}
	}
	clear(r.msg.Header)
	r.msg.Header[wire.Status] = statusValues[s]
	r.msg.Subject, r.msg.Data = to, nil
}

// set sets the i-th further header.
func (r *reply) set(i int, name, value string) {
	r.values[i][0] = value
	r.msg.Header[name] = r.values[i][:]
}

// fail makes the message an error.
func (r *reply) fail(to string, code int, text string) {
	r.begin(to, statusError)
	r.set(0, wire.Error, text)
	r.set(1, wire.ErrorCode, strconv.Itoa(code))
}

// fill puts what a success brought into the message.
func (r *reply) fill(to string, s status, res *mc.Response) {
	r.begin(to, s)
	switch s {
	case statusHit:
		r.msg.Data = res.Value()
		r.number(0, wire.CAS, 'c', res)
		r.number(1, wire.Flags, 'f', res)
		r.number(2, wire.TTL, 't', res)
		if _, ok := res.Flag('X'); ok {
			r.stale(res)
		}
	case statusStored:
		if res.HasValue() {
			r.msg.Data = res.Value()
		} else if res.Type == mc.TypeNumeric {
			r.msg.Data = bytes.TrimRight(res.Text(), " ")
		}
	}
}

func (r *reply) stale(res *mc.Response) {
	word := wire.Lost
	if _, won := res.Flag('W'); won {
		word = wire.Won
	}
	r.set(3, wire.Stale, word)
}

// number passes a number of the answer on. Flags of 0 and the TTL of what never expires go without saying.
func (r *reply) number(i int, name string, flag byte, res *mc.Response) {
	tok, ok := res.Flag(flag)
	if ok && string(tok) != "-1" && (flag != 'f' || string(tok) != "0") {
		r.set(i, name, string(tok))
	}
}

// failure gives the code and the words of an answer that is an error. Memcached's words are kept: they can be searched for.
func failure(answer []byte) (code int, text string) {
	line, _, _ := strings.Cut(string(answer[:min(len(answer), maxError)]), "\r\n")
	switch {
	case line == "":
		return wire.CodeServer, "SERVER_ERROR the route gave no answer"
	case strings.Contains(line, "too large"):
		return wire.CodeTooLarge, line
	case strings.HasPrefix(line, "CLIENT_ERROR"), strings.HasPrefix(line, "ERROR"):
		return wire.CodeBadRequest, line
	case line == "SERVER_ERROR active request limit reached", strings.HasPrefix(line, "SERVER_ERROR out of memory"):
		return wire.CodeBusy, line
	case strings.HasPrefix(line, "SERVER_ERROR backend"):
		return wire.CodeUnavailable, line
	case strings.HasPrefix(line, "SERVER_ERROR"):
		return wire.CodeServer, line
	}
	return wire.CodeServer, fmt.Sprintf("SERVER_ERROR the route answered %s, which means nothing to this op", quote(line))
}

// maxError is how much of an error line is passed on, in bytes.
const maxError = 300

// tooLarge is what is said in place of an answer that NATS refused for its size.
func (r *reply) tooLarge(to string, size int, limit int64) {
	r.fail(to, wire.CodeTooLarge, fmt.Sprintf("SERVER_ERROR the value of %d bytes does not fit into a message: NATS's max_payload is %d", size, limit))
}

// send publishes the message and says what became of it. A publication that fails is not tried again: the connection is gone,
// and who asked has given up when it is back.
func (f *Face) send(r *reply) error {
	err := f.publish(&r.msg)
	if errors.Is(err, nats.ErrMaxPayload) {
		r.tooLarge(r.msg.Subject, len(r.msg.Data), f.maxPayload())
		err = f.publish(&r.msg)
	}
	if err != nil {
		f.counted.lost.Add(1)
	}
	return err
}
