// Waking up about on time, where there is nothing better.

//go:build !linux

package load

import "time"

type alarm struct{}

func newAlarm() *alarm { return &alarm{} }

func (*alarm) sleep(d time.Duration) { time.Sleep(d) }
func (*alarm) close()                {}
