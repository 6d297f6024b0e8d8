// A client over a socket.

package linear

import (
	"bufio"
	"io"
	"net"
	"strings"
	"time"
)

// answerTime is how long an answer may take.
const answerTime = 30 * time.Second

// OverConn makes a client of a connection, for one goroutine. What ends an answer is the answer to an mn that goes after each request,
// so requests may be many, and quiet.
func OverConn(c net.Conn) Client {
	in := bufio.NewReader(c)
	return func(request string) (string, error) {
		if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
			return "", err
		}
		if _, err := io.WriteString(c, request+"mn\r\n"); err != nil {
			return "", err
		}
		var got strings.Builder
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return got.String() + line, err
			}
			if line == "MN\r\n" {
				return got.String(), nil
			}
			got.WriteString(line)
		}
	}
}
