// What is done with answers: who keeps quiet, which is best, what stands for "nothing happened".

package mc

// Rank orders answers: the greater is the better one. An answer that is no Response has one of the two lowest.
type Rank uint8

// The ranks, worst first.
const (
	RankUnsent  Rank = iota // the request could not be sent
	RankTimeout             // no answer came in time, or the connection was lost under it
	RankError               // the backend answered SERVER_ERROR, CLIENT_ERROR or ERROR
	RankMiss                // a miss, or not stored, not found, exists
	RankHit                 // a hit, or success
)

// Rank is the one order of answers that every handler which chooses between answers goes by:
// hit (or success) > miss (or not stored, not found) > error.
func (r *Response) Rank() Rank {
	switch {
	case r.Code == CodeNone:
		return RankTimeout
	case !r.OK():
		return RankError
	case r.Code == CodeEnd, r.Code == CodeNotFound, r.Code == CodeNotStored, r.Code == CodeExists:
		return RankMiss
	}
	return RankHit
}

// SuppressAnswer: is resp kept from the client, because it asked for quiet? Meta with q: a miss is, and so is plain
// success of everything but mg. Text with noreply: anything but an error is.
func SuppressAnswer(req *Request, resp *Response) bool {
	switch {
	case req.Quiet:
		return resp.Code == CodeEnd || resp.Code == CodeOK && req.Cmd != CmdMG
	case req.NoReply:
		return resp.OK()
	}
	return false
}

// nullAnswers say, for each command, that nothing happened.
var nullAnswers = func() (t [NumCmds]string) {
	for c := CmdNone; c < NumCmds; c++ {
		switch c.info().form {
		case formGet:
			t[c] = endLine
		case formStore:
			t[c] = "NOT_STORED\r\n"
		case formSimple:
			t[c] = "NOT_FOUND\r\n"
		}
	}
	t[CmdMG], t[CmdME] = "EN\r\n", "EN\r\n"
	t[CmdMS] = "NS\r\n"
	t[CmdMD], t[CmdMA] = "NF\r\n", "NF\r\n"
	t[CmdMN] = "MN\r\n"
	return t
}()

// NullAnswer is the answer that says nothing happened: a miss for reads, not stored or not found for writes. "" for
// commands that have none.
func NullAnswer(c Cmd) string { return nullAnswers[min(c, NumCmds-1)] }

// AppendNull appends the NullAnswer to r, with the flags that memcached reflects in it.
func AppendNull(dst []byte, r *Request) []byte {
	null := NullAnswer(r.Cmd)
	if !r.Cmd.IsMeta() || r.Cmd == CmdME || r.Cmd == CmdMN {
		return append(dst, null...)
	}
	dst = append(dst, null[:2]...)
	for i := r.FlagStart(); i < int(r.ntok); i++ {
		dst = r.AppendReflected(dst, i)
	}
	return append(dst, "\r\n"...)
}

// AppendReflected appends what memcached's answer to r, whatever it is, repeats of its i-th token: all of O; of k the key, and that it is base64.
func (r *Request) AppendReflected(dst []byte, i int) []byte {
	switch tok := r.at(i); tok[0] {
	case opaqueFlag:
		return append(append(dst, ' '), tok...)
	case keyFlag:
		dst = append(append(dst, " k"...), r.Key...)
		if r.Base64 {
			dst = append(dst, " b"...)
		}
	}
	return dst
}
