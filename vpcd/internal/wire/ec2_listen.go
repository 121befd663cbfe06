package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// EC2Listener is a TCP port for the EC2 encoding.
type EC2Listener struct {
	net.Listener
	addr netip.AddrPort
	tls  *tls.Config // nil without
}

// ListenEC2 opens addr, IP:PORT or localhost:PORT, where port 0 picks a free
// one. A certificate and its key, files in PEM, make it TLS; an address beyond
// this machine needs them. Errors name the flag that is at fault.
func ListenEC2(addr, certFile, keyFile string) (*EC2Listener, error) {
	at, err := parseListen(addr)
	if err != nil {
		return nil, err
	}
	l := &EC2Listener{}
	if l.tls, err = loadTLS(certFile, keyFile); err != nil {
		return nil, err
	}
	if l.tls == nil && !at.Addr().IsLoopback() {
		return nil, fmt.Errorf("--ec2-listen %s: an address that others can reach needs --ec2-tls-cert and --ec2-tls-key; 127.0.0.1:%d needs none", addr, at.Port())
	}
	// With the family said, all addresses of one family are not those of both.
	network := "tcp6"
	if at.Addr().Is4() {
		network = "tcp4"
	}
	if l.Listener, err = net.Listen(network, at.String()); err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("--ec2-listen %s: %w", addr, err)
	}
	// The port may have been 0.
	l.addr = netip.AddrPortFrom(at.Addr(), uint16(l.Listener.Addr().(*net.TCPAddr).Port))
	return l, nil
}

// parseListen takes addresses only: what a name means may change, and with it
// who can connect.
func parseListen(addr string) (netip.AddrPort, error) {
	text := addr
	if port, ok := strings.CutPrefix(addr, "localhost:"); ok {
		text = "127.0.0.1:" + port
	}
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--ec2-listen %q: want IP:PORT, such as 127.0.0.1:8773", addr)
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

func loadTLS(certFile, keyFile string) (*tls.Config, error) {
	if certFile == "" && keyFile == "" {
		return nil, nil
	}
	if certFile == "" || keyFile == "" {
		return nil, errors.New("--ec2-tls-cert and --ec2-tls-key: one needs the other")
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("--ec2-tls-cert %s, --ec2-tls-key %s: %w", certFile, keyFile, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}, nil
}

// secure speaks TLS on what inner accepts, if this listener does.
func (l *EC2Listener) secure(inner net.Listener) net.Listener {
	if l.tls == nil {
		return inner
	}
	return tls.NewListener(inner, l.tls)
}

// URL is where clients on this machine reach the listener. With TLS it has a
// name of the certificate, because clients compare.
func (l *EC2Listener) URL() string {
	scheme, host := "http", l.addr.Addr().String()
	if l.addr.Addr().IsUnspecified() {
		host = "localhost"
	}
	if l.tls != nil {
		scheme = "https"
		for _, name := range l.tls.Certificates[0].Leaf.DNSNames {
			if !strings.Contains(name, "*") {
				host = name
				break
			}
		}
	}
	return scheme + "://" + net.JoinHostPort(host, l.port())
}

func (l *EC2Listener) port() string { return strconv.Itoa(int(l.addr.Port())) }

// serves tells whether the header Host of a request names this listener: by its
// address or a name of this machine, or by a name that its certificate has. A
// web page whose name resolves to us sends that name.
func (l *EC2Listener) serves(hostport string) bool {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = strings.Trim(hostport, "[]"), "80"
		if l.tls != nil {
			port = "443"
		}
	}
	if port != l.port() {
		return false
	}
	if l.tls != nil && l.tls.Certificates[0].Leaf.VerifyHostname(host) == nil {
		return true
	}
	if strings.EqualFold(host, "localhost") {
		return l.addr.Addr().IsLoopback() || l.addr.Addr().IsUnspecified()
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.Unmap() == l.addr.Addr() || ip.IsLoopback() && l.addr.Addr().IsUnspecified())
}
