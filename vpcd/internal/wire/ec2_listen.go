package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// EC2Listener is a TCP port for the EC2 encoding.
type EC2Listener struct {
	net.Listener
	addr netip.AddrPort
	host string      // in the URL
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
	if l.host, err = l.hostName(at.Addr()); err != nil {
		return nil, fmt.Errorf("--ec2-tls-cert %s: %w", certFile, err)
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
	if err := checkKeyFile(keyFile); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}, nil
}

// checkKeyFile refuses a key that any user of this machine can have. A group may
// read it: that is how one key is shared between services.
func checkKeyFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("--ec2-tls-key %w", err)
	}
	if perm := info.Mode().Perm(); perm&0o027 != 0 {
		return fmt.Errorf("--ec2-tls-key %s: its permissions are %#o, so others may have it; chmod o=,g-w %s", path, perm, path)
	}
	return nil
}

// secure speaks TLS on what inner accepts, if this listener does.
func (l *EC2Listener) secure(inner net.Listener) net.Listener {
	if l.tls == nil {
		return inner
	}
	return tls.NewListener(inner, l.tls)
}

// URL is where clients on this machine reach the listener.
func (l *EC2Listener) URL() string {
	scheme := "http"
	if l.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(l.host, l.port())
}

// hostName chooses the host of the URL for a listener on addr. With TLS it is
// one that the certificate covers, because clients compare: a name, the address,
// or, where we listen on all, localhost or any address of the certificate.
func (l *EC2Listener) hostName(addr netip.Addr) (string, error) {
	here := []string{addr.String()}
	if addr.IsUnspecified() {
		here = []string{"localhost", "127.0.0.1"}
		if addr.Is6() {
			here[1] = "::1"
		}
	}
	if l.tls == nil {
		return here[0], nil
	}
	cert := l.tls.Certificates[0].Leaf
	for _, name := range cert.DNSNames {
		if !strings.Contains(name, "*") {
			return name, nil
		}
	}
	if addr.IsLoopback() {
		here = append(here, "localhost")
	}
	for _, host := range here {
		if cert.VerifyHostname(host) == nil {
			return host, nil
		}
	}
	for _, ip := range cert.IPAddresses {
		at, _ := netip.AddrFromSlice(ip)
		if at = at.Unmap(); addr.IsUnspecified() && at.Is4() == addr.Is4() {
			return at.String(), nil
		}
	}
	return "", fmt.Errorf("it covers neither a name without * nor the address %s, so no client could check it; make one with a name of this machine, or with %s", addr, here[0])
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
