package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/internal/service"
	"github.com/vpcfabric/vpc/vpcd/internal/wire/sigv4/sigv4test"
)

// certificate writes a self-signed one for names and addresses and returns its files and the
// pool that trusts it.
func certificate(t *testing.T, names ...string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return cert, key, pool
}

// serveTCP has a server answer on a port of its own.
func serveTCP(t *testing.T, cert, key string, tune func(*EC2)) *EC2Listener {
	t.Helper()
	l, err := ListenEC2("127.0.0.1:0", cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := NewEC2(map[string]service.Handler{"CreateVpc": echo}, keyRing{recordedKey, othersKey}, slog.New(slog.DiscardHandler))
	if tune != nil {
		tune(s)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.http.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l
}

// askTCP sends a request that is answered with 200.
func askTCP(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	return askTCPAs(t, client, url, recordedKey, goodForm)
}

// askTCPAs signs as the SDKs for Go do, which sign the length too.
func askTCPAs(t *testing.T, client *http.Client, url string, by service.AccessKey, form string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = r.URL.Host
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Amz-Sdk-Request", "attempt=1;  max=25")
	r.Header.Set("Content-Length", itoa(len(form)))
	signed := r.Clone(t.Context())
	signed.Header.Set("Amz-Sdk-Request", "attempt=1; max=25")
	sigv4test.Sign(signed, form, by.ID, by.Secret, "ec2", time.Now())
	for _, name := range []string{"Authorization", "X-Amz-Date"} {
		r.Header.Set(name, signed.Header.Get(name))
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func httpClient(t *testing.T, conf *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func TestEC2OverTCP(t *testing.T) {
	l := serveTCP(t, "", "", nil)
	answer, body := askTCP(t, httpClient(t, nil), l.URL())
	if answer.StatusCode != 200 || !strings.Contains(body, "10.0.0.0/16") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	answer, body = askTCP(t, httpClient(t, nil), strings.Replace(l.URL(), "127.0.0.1", "localhost", 1))
	if answer.StatusCode != 200 {
		t.Errorf("localhost: %d %s", answer.StatusCode, body)
	}
}

func TestEC2OverTLS(t *testing.T) {
	cert, key, pool := certificate(t, "*.example.com", "localhost")
	l := serveTCP(t, cert, key, nil)
	if want := "https://localhost:" + l.port(); l.URL() != want {
		t.Errorf("URL %s, want %s", l.URL(), want)
	}
	answer, body := askTCP(t, httpClient(t, &tls.Config{RootCAs: pool}), l.URL())
	if answer.StatusCode != 200 || answer.ProtoMajor != 1 || answer.TLS.Version < tls.VersionTLS12 {
		t.Errorf("%d %s, HTTP/%d, TLS %x", answer.StatusCode, body, answer.ProtoMajor, answer.TLS.Version)
	}
	dialer := &net.Dialer{Timeout: patience}
	if c, err := tls.DialWithDialer(dialer, "tcp", l.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "localhost", MaxVersion: tls.VersionTLS11}); err == nil {
		c.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

// TestEC2Excess: connections beyond the bound are told so, with and without TLS.
func TestEC2Excess(t *testing.T) {
	cert, key, pool := certificate(t, "localhost")
	for name, l := range map[string]*EC2Listener{
		"plain": serveTCP(t, "", "", func(s *EC2) { s.connMax = 1 }),
		"TLS":   serveTCP(t, cert, key, func(s *EC2) { s.connMax = 1 }),
	} {
		first := httpClient(t, &tls.Config{RootCAs: pool})
		if answer, body := askTCP(t, first, l.URL()); answer.StatusCode != 200 {
			t.Fatalf("%s: %d %s", name, answer.StatusCode, body)
		}
		// The first client's connection is kept open.
		if answer, body := askTCP(t, httpClient(t, &tls.Config{RootCAs: pool}), l.URL()); answer.StatusCode != 503 || !strings.Contains(body, "RequestLimitExceeded") {
			t.Errorf("%s: %d %s", name, answer.StatusCode, body)
		}
	}
}

// TestEC2Slow: who does not finish a body is cut off.
func TestEC2Slow(t *testing.T) {
	l := serveTCP(t, "", "", func(s *EC2) { s.bodyTime = 50 * time.Millisecond })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("POST", l.URL(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Host = r.URL.Host
	sigv4test.Sign(r, "", recordedKey.ID, recordedKey.Secret, "ec2", time.Now())
	head := "POST / HTTP/1.1\r\nHost: " + r.Host + "\r\nContent-Length: 10\r\n"
	for name := range r.Header {
		head += name + ": " + r.Header.Get(name) + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\nAct"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(answer), "RequestTimeout") {
		t.Errorf("%s, %v", answer, err)
	}
}

func TestListenEC2Refused(t *testing.T) {
	cert, key, _ := certificate(t, "localhost")
	open := filepath.Join(t.TempDir(), "open.pem")
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(open, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	taken, err := ListenEC2("127.0.0.1:0", "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, tt := range map[string]struct{ addr, cert, key, want string }{
		"all, no TLS":    {"0.0.0.0:0", "", "", "--ec2-tls-cert"},
		"all v6, no TLS": {"[::]:0", "", "", "--ec2-tls-cert"},
		"other, no TLS":  {"192.0.2.1:8773", "", "", "--ec2-tls-cert"},
		"mapped, no TLS": {"[::ffff:192.0.2.1]:8773", "", "", "--ec2-tls-cert"},
		"not ours":       {"192.0.2.1:8773", cert, key, "--ec2-listen 192.0.2.1:8773"},
		"name":           {"example.com:8773", cert, key, "IP:PORT"},
		"no address":     {":8773", cert, key, "IP:PORT"},
		"no port":        {"127.0.0.1", "", "", "IP:PORT"},
		"large port":     {"127.0.0.1:65536", "", "", "IP:PORT"},
		"taken":          {taken.Addr().String(), "", "", "--ec2-listen " + taken.Addr().String()},
		"key without":    {"127.0.0.1:0", "", key, "--ec2-tls-cert"},
		"cert without":   {"127.0.0.1:0", cert, "", "--ec2-tls-key"},
		"no such file":   {"127.0.0.1:0", cert + "x", key, cert + "x"},
		"not a key":      {"127.0.0.1:0", cert, cert, "--ec2-tls-key"},
		"no key file":    {"127.0.0.1:0", cert, key + "x", key + "x"},
		"open key":       {"127.0.0.1:0", cert, open, "chmod o=,g-w " + open},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := ListenEC2(tt.addr, tt.cert, tt.key)
			if err == nil {
				l.Close()
				t.Fatal("not refused")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want one line with %q", err, tt.want)
			}
		})
	}
}

func TestListenEC2(t *testing.T) {
	cert, key, _ := certificate(t, "vpc.example.com")
	for addr, want := range map[string]string{
		"127.0.0.1:0": "http://127.0.0.1:", "localhost:0": "http://127.0.0.1:", "127.0.0.9:0": "http://127.0.0.9:", "[::ffff:127.0.0.1]:0": "http://127.0.0.1:",
	} {
		l, err := ListenEC2(addr, "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if !strings.HasPrefix(l.URL(), want) || strings.HasSuffix(l.URL(), ":0") {
			t.Errorf("%s: %s", addr, l.URL())
		}
	}
	l, err := ListenEC2("127.0.0.1:0", cert, key)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !strings.HasPrefix(l.URL(), "https://vpc.example.com:") {
		t.Error(l.URL())
	}
}

// TestURLIsCovered: what is printed for clients is what the certificate says,
// and what none could check is refused.
func TestURLIsCovered(t *testing.T) {
	for _, tt := range []struct{ listen, names, want string }{
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"127.0.0.1:0", "*.example.com 127.0.0.1", "127.0.0.1"},
		{"0.0.0.0:0", "192.0.2.7", "192.0.2.7"},
		{"0.0.0.0:0", "192.0.2.7 127.0.0.1", "127.0.0.1"},
		{"0.0.0.0:0", "*.example.com 192.0.2.7", "192.0.2.7"},
		{"0.0.0.0:0", "2001:db8::1", ""},
		{"0.0.0.0:0", "*.example.com", ""},
		{"127.0.0.1:0", "192.0.2.7", ""},
	} {
		cert, key, _ := certificate(t, strings.Fields(tt.names)...)
		l, err := ListenEC2(tt.listen, cert, key)
		if err != nil {
			if tt.want != "" || !strings.Contains(err.Error(), "--ec2-tls-cert "+cert) {
				t.Errorf("%s with %s: %v", tt.listen, tt.names, err)
			}
			continue
		}
		l.Close()
		// A client sends this host, so it must also be served.
		if want := "https://" + tt.want + ":" + l.port(); l.URL() != want || !l.serves(strings.TrimPrefix(want, "https://")) {
			t.Errorf("%s with %s: %s, want %s", tt.listen, tt.names, l.URL(), want)
		}
	}
}

// TestHosts: a web page reaches us by a name of its own, and is not served.
func TestHosts(t *testing.T) {
	cert, key, _ := certificate(t, "vpc.example.com", "*.vpc.example.com")
	conf, err := loadTLS(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		listen    string
		tls       *tls.Config
		good, bad string
	}{
		{"127.0.0.1:8773", nil, "127.0.0.1:8773 localhost:8773 LOCALHOST:8773", "127.0.0.1 127.0.0.1:8774 127.0.0.2:8773 evil.example:8773 localhost.evil.example:8773 [::1]:8773 vpc.example.com:8773 :8773 localhost:"},
		{"127.0.0.1:80", nil, "127.0.0.1 localhost localhost:80", "evil.example 127.0.0.1:443"},
		{"[::1]:8773", nil, "[::1]:8773 localhost:8773", "[::2]:8773 ::1:8773 127.0.0.1:8773"},
		{"0.0.0.0:443", conf, "vpc.example.com a.vpc.example.com vpc.example.com:443 127.0.0.1 localhost", "evil.example b.a.vpc.example.com vpc.example.com:80 192.0.2.1"},
		{"192.0.2.1:8773", conf, "192.0.2.1:8773 vpc.example.com:8773", "127.0.0.1:8773 localhost:8773 192.0.2.2:8773"},
	} {
		l := &EC2Listener{addr: netip.MustParseAddrPort(tt.listen), tls: tt.tls}
		for _, host := range strings.Fields(tt.good) {
			if !l.serves(host) {
				t.Errorf("%s does not serve %s", tt.listen, host)
			}
		}
		for _, host := range append(strings.Fields(tt.bad), "", "[", "]:8773") {
			if l.serves(host) {
				t.Errorf("%s serves %s", tt.listen, host)
			}
		}
	}
}
