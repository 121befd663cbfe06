package main

import (
	"net"
	"os"
)

// notifier speaks sd_notify(3): one datagram per message, silence without a
// service manager.
type notifier struct{ addr string }

func newNotifier() notifier { return notifier{os.Getenv("NOTIFY_SOCKET")} }

func (n notifier) ready() { n.send("READY=1") }
func (n notifier) alive() { n.send("WATCHDOG=1") }

func (n notifier) send(msg string) {
	if n.addr == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.addr, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	// A manager that does not listen is no reason to stop.
	_, _ = c.Write([]byte(msg))
}
