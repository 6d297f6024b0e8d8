// Messages that are too large for one NATS message.

package frame

import "math"

// Slack is what is left free of a NATS server's max_payload, for NATS headers and subjects.
const Slack = 4 << 10

// MaxBody is the most body that one message carries where the server allows maxPayload bytes; at least 1.
func MaxBody(maxPayload int) int { return max(1, maxPayload-Slack-Size) }

// Parts is how many messages a body of that many bytes takes; 1 is the common case. ErrParts: no number of them.
func Parts(body, maxPayload int) (int, error) {
	most := MaxBody(maxPayload)
	n := max(1, (body+most-1)/most)
	if n > math.MaxUint16 {
		return 0, ErrParts
	}
	return n, nil
}

// AppendPart appends message i (from 0) of parts that body is cut into; h is used for all but Part, Parts and Len.
func AppendPart(dst []byte, h Header, body []byte, i, parts, maxPayload int) []byte {
	most := MaxBody(maxPayload)
	from := min(i*most, len(body))
	h.Part, h.Parts = uint16(i), uint16(parts)
	return h.Append(dst, body[from:min(from+most, len(body))])
}
