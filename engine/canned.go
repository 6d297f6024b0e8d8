// Canned answers: what a backend would say to a request, for proxies that send nothing.

package engine

import (
	"fmt"
	"strconv"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// outcome is how a request goes at a backend.
type outcome uint8

const (
	outcomeHit     outcome = iota // the item is there, and what changes it succeeds
	outcomeMiss                   // it is not there
	outcomeDown                   // the backend cannot be reached
	outcomeSilent                 // it does not answer before its read timeout
	outcomeUnasked                // a proxy that places keys only does not care
)

func (o outcome) String() string { return [...]string{"hit", "miss", "down", "silent", ""}[o] }

// canned appends what a backend answers to r that has the item, with that value, or has not.
func canned(dst []byte, r *mc.Request, o outcome, value string) []byte {
	hit := o == outcomeHit
	if r.Cmd.IsMeta() {
		return cannedMeta(dst, r, hit, value)
	}
	pick := func(yes, no string) []byte {
		if hit {
			return append(dst, yes...)
		}
		return append(dst, no...)
	}
	switch r.Cmd {
	case mc.CmdGet, mc.CmdGats, mc.CmdGets, mc.CmdGat:
		if hit {
			dst = fmt.Appendf(dst, "VALUE %s 0 %d", r.Key, len(value))
			if r.Cmd == mc.CmdGets || r.Cmd == mc.CmdGats {
				dst = append(dst, " 1"...)
			}
			dst = append(append(append(dst, "\r\n"...), value...), "\r\n"...)
		}
		return append(dst, "END\r\n"...)
	case mc.CmdSet:
		return append(dst, "STORED\r\n"...)
	case mc.CmdAdd:
		return pick("NOT_STORED\r\n", "STORED\r\n")
	case mc.CmdReplace, mc.CmdAppend, mc.CmdPrepend:
		return pick("STORED\r\n", "NOT_STORED\r\n")
	case mc.CmdCas:
		return pick("STORED\r\n", "NOT_FOUND\r\n")
	case mc.CmdDelete:
		return pick("DELETED\r\n", "NOT_FOUND\r\n")
	case mc.CmdTouch:
		return pick("TOUCHED\r\n", "NOT_FOUND\r\n")
	}
	return pick("1\r\n", "NOT_FOUND\r\n") // incr, decr
}

// cannedMeta answers with what the flags ask for.
func cannedMeta(dst []byte, r *mc.Request, hit bool, value string) []byte {
	code, extra := "HD", ""
	switch r.Cmd {
	case mc.CmdMG:
		switch {
		case !hit && r.HasFlag('N'):
			value, extra = "", " W"
		case !hit:
			return append(dst, "EN\r\n"...)
		}
	case mc.CmdME:
		if !hit {
			return append(dst, "EN\r\n"...)
		}
		return fmt.Appendf(dst, "ME %s exp=-1 la=0 cas=1 fetch=yes cls=1 size=%d\r\n", r.Key, len(value))
	case mc.CmdMS:
		code = metaStored(r, hit)
	case mc.CmdMN:
		return append(dst, "MN\r\n"...)
	default:
		if value = "1"; !hit {
			code = "NF"
		}
	}
	valued := r.HasFlag('v') && code == "HD" && (r.Cmd == mc.CmdMG || r.Cmd == mc.CmdMA)
	if valued {
		code = "VA " + strconv.Itoa(len(value))
	}
	dst = append(dst, code...)
	for i := r.FlagStart(); i < r.NToken(); i++ {
		dst = metaFlag(dst, r, r.Token(i), len(value))
	}
	dst = append(append(dst, extra...), "\r\n"...)
	if valued {
		dst = append(append(dst, value...), "\r\n"...)
	}
	return dst
}

// metaStored is the code of ms, whose mode says which of the two is a success.
func metaStored(r *mc.Request, hit bool) string {
	mode, _ := r.Flag('M')
	_, cas := r.Flag('C')
	if len(mode) == 0 {
		mode = []byte("S")
	}
	switch m := mode[0] &^ 0x20; {
	case cas && !hit:
		return "NF"
	case m == 'E' && hit, (m == 'A' || m == 'P' || m == 'R') && !hit:
		return "NS"
	}
	return "HD"
}

// metaFlag appends what an answer has for one flag of its request.
func metaFlag(dst []byte, r *mc.Request, flag []byte, size int) []byte {
	switch flag[0] {
	case 'k':
		return append(append(dst, " k"...), r.Key...)
	case 'O':
		return append(append(dst, ' '), flag...)
	case 'b':
		return append(dst, " b"...)
	case 's':
		return fmt.Appendf(dst, " s%d", size)
	case 'c':
		return append(dst, " c1"...)
	}
	if r.Cmd == mc.CmdMG || r.Cmd == mc.CmdMA {
		switch flag[0] {
		case 't':
			return append(dst, " t-1"...)
		case 'f', 'h', 'l':
			if r.Cmd == mc.CmdMG {
				return append(dst, ' ', flag[0], '0')
			}
		}
	}
	return dst
}
