package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidepool-proxy/tidepool/client"
)

// Read through: ask the cache, and who knows if it does not.
func ExampleClient_Get() {
	c, err := client.Connect("nats://127.0.0.1:4222", client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()

	item, err := c.Get(ctx, "user:42")
	switch {
	case errors.Is(err, client.ErrMiss):
		item.Value = []byte("from the database")
		err = c.Set(ctx, "user:42", client.Item{Value: item.Value, TTL: time.Minute})
	case errors.Is(err, client.ErrUnavailable):
		item.Value, err = []byte("from the database"), nil // a cache that is away is no reason to fail
	}
	fmt.Println(string(item.Value), err)
}
