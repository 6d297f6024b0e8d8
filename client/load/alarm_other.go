// Waking up about on time, where there is nothing better.

//go:build !linux

package load

import "time"

type alarm struct{}

func newAlarm() (*alarm, error) { return &alarm{}, nil }

func (*alarm) sleep(d time.Duration) error { time.Sleep(d); return nil }
func (*alarm) close()                      {}
