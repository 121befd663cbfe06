package probe

import (
	"net"
	"net/netip"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// SeenAs is the address from which a server in one namespace sees a TCP
// connection that is made to `to` in another.
func SeenAs(from, server string, to netip.Addr) (netip.Addr, error) {
	return SeenAsBy(from, server, netip.AddrPortFrom(to, 0))
}

// SeenAsBy is SeenAs on a port that nobody listens on; 0 is any.
func SeenAsBy(from, server string, to netip.AddrPort) (netip.Addr, error) {
	var l net.Listener
	err := netns.Do(server, func() (err error) {
		l, err = net.Listen("tcp4", netip.AddrPortFrom(netip.IPv4Unspecified(), to.Port()).String())
		return err
	})
	if err != nil {
		return netip.Addr{}, err
	}
	defer l.Close()
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	var conn net.Conn
	err = netns.Do(from, func() (err error) {
		conn, err = net.DialTimeout("tcp4", netip.AddrPortFrom(to.Addr(), port).String(), answerTime)
		return err
	})
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(answerTime))
	seen, err := l.Accept()
	if err != nil {
		return netip.Addr{}, err
	}
	defer seen.Close()
	return netip.MustParseAddrPort(seen.RemoteAddr().String()).Addr(), nil
}
