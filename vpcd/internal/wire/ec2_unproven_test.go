package wire

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/internal/service"
	"github.com/vpcfabric/vpc/vpcd/internal/wire/sigv4/sigv4test"
)

// hang opens a connection and sends a header signed with a key, which promises
// length bytes, and part of the body. Without an id it sends nothing.
func hang(t *testing.T, l *EC2Listener, id string, length int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if id == "" {
		return c
	}
	r, err := http.NewRequest("POST", l.URL(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", formType)
	r.Host = r.URL.Host
	sigv4test.Sign(r, "", id, "not the secret", "ec2", time.Now())
	head := "POST / HTTP/1.1\r\nHost: " + r.Host + "\r\nContent-Length: " + itoa(length) + "\r\n"
	for name := range r.Header {
		head += name + ": " + r.Header.Get(name) + "\r\n"
	}
	// What is closed for another's sake may be so before all is written.
	_, _ = io.WriteString(c, head+"\r\n"+strings.Repeat("a", length/2))
	return c
}

// TestAHangingCrowd: who can sign gets through while more connections hang than
// there may be, whatever they hang in, all from the caller's own address.
func TestAHangingCrowd(t *testing.T) {
	for name, tt := range map[string]struct {
		id     string
		length int
	}{
		"silent":                  {"", 0},
		"key of nobody, large":    {"AKIAOTHER", ec2BodyMax},
		"a known id, small":       {recordedKey.ID, smallBody},
		"a known id, large":       {recordedKey.ID, ec2BodyMax},
		"a known id, of a length": {recordedKey.ID, smallBody + 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := serveTCP(t, "", "", nil)
			for range connMax + 1 {
				hang(t, l, tt.id, tt.length)
			}
			began := time.Now()
			if answer, body := askTCP(t, httpClient(t, nil), l.URL()); answer.StatusCode != 200 {
				t.Errorf("%d %s", answer.StatusCode, body)
			}
			if took := time.Since(began); took > unprovenTime {
				t.Errorf("answered after %v: the others had to be waited for", took)
			}
		})
	}
}

// TestACrowdDoesNotDisplaceCallers: who has proven itself keeps its connection.
func TestACrowdDoesNotDisplaceCallers(t *testing.T) {
	l := serveTCP(t, "", "", func(s *EC2) { s.connMax = 4 })
	client := httpClient(t, nil)
	dials := 0
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials++
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	for range 3 {
		if answer, body := askTCP(t, client, l.URL()); answer.StatusCode != 200 {
			t.Fatalf("%d %s", answer.StatusCode, body)
		}
		for range 16 {
			hang(t, l, "", 0)
		}
	}
	if dials != 1 {
		t.Errorf("%d connections were needed", dials)
	}
}

// TestUnknownKeysAreNotRead: the answer to a key that does not exist comes
// before its body.
func TestUnknownKeysAreNotRead(t *testing.T) {
	l := serveTCP(t, "", "", func(s *EC2) { s.bodyTime = patience })
	c := hang(t, l, "AKIAOTHER", 1000)
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err != nil || !strings.HasPrefix(string(b[:n]), "HTTP/1.1 401") {
		t.Fatalf("%q, %v", b[:n], err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the connection stays open: %v", err)
	}
}

// TestLargeBodiesWait: only so many large bodies are held at a time.
func TestLargeBodiesWait(t *testing.T) {
	l := serveTCP(t, "", "", func(s *EC2) {
		s.bodyTime, s.large.places = 50*time.Millisecond, make(chan struct{}, 1)
		s.large.places <- struct{}{}
	})
	c := hang(t, l, recordedKey.ID, smallBody+1)
	if answer, err := io.ReadAll(c); err != nil || !strings.Contains(string(answer), "RequestLimitExceeded") {
		t.Errorf("%q, %v", answer, err)
	}
	if answer, body := askTCP(t, httpClient(t, nil), l.URL()); answer.StatusCode != 200 {
		t.Errorf("a small one: %d %s", answer.StatusCode, body)
	}
}

// TestDoubtsAreCounted: however many are refused, a second has one line.
func TestDoubtsAreCounted(t *testing.T) {
	log := new(journal)
	s := testEC2(map[string]service.Handler{"CreateVpc": never(t)}, log)
	at := recordedTime
	s.now = func() time.Time { return at }
	refuse := func(times int) {
		for range times {
			r := ec2Request(goodForm, nil)
			r.Header.Del("Authorization")
			exchange(s, r)
		}
	}
	refuse(100)
	at = at.Add(doubtPause)
	refuse(5)
	lines := regexp.MustCompile(`left_out_since_last=\d+`).FindAllString(log.String(), -1)
	if strings.Join(lines, " ") != "left_out_since_last=0 left_out_since_last=99" {
		t.Errorf("%v", lines)
	}
}

func TestCrowd(t *testing.T) {
	from := func(addr string) *conn { return &conn{Conn: remote{addr: addr}} }
	w := &crowd{perSource: 2}
	a1, a2, b1 := from("192.0.2.1:1"), from("192.0.2.1:2"), from("192.0.2.2:1")
	for _, c := range []*conn{a1, b1, a2} {
		if out := w.enter(c, false); out != nil {
			t.Errorf("%v had to go while there was room", out.RemoteAddr())
		}
	}
	if out := w.enter(from("192.0.2.1:3"), false); out != a1 {
		t.Error("beyond its share a source loses its oldest")
	}
	if out := w.enter(from("192.0.2.3:1"), true); out != a2 {
		t.Error("when it is full, the source with the most loses its oldest")
	}
	if w.prove(a2, "a") == nil {
		t.Error("one that had to go is proven")
	}
	w.leave(b1)
	if w.prove(b1, "b") == nil {
		t.Error("one that is closed is proven")
	}
	six := &crowd{perSource: 1}
	first := from("[2001:db8::1]:1")
	six.enter(first, false)
	if out := six.enter(from("[2001:db8::2]:1"), false); out != first {
		t.Error("a network of 64 bits is one source")
	}
	if out := (&crowd{perSource: 1}).enter(from("192.0.2.1:1"), true); out != nil {
		t.Error("nobody is there to go")
	}
}

func TestCrowdOfAccounts(t *testing.T) {
	w := &crowd{perSource: 9, perAccount: 2}
	var conns []*conn
	for range 4 {
		c := &conn{Conn: remote{addr: "192.0.2.1:1"}}
		w.enter(c, false)
		conns = append(conns, c)
	}
	proves := func(c *conn, account string, want bool) {
		t.Helper()
		if err := w.prove(c, account); (err == nil) != want {
			t.Errorf("%s: %v, want %t", account, err, want)
		}
	}
	proves(conns[0], "a", true)
	proves(conns[0], "a", true)
	proves(conns[1], "a", true)
	proves(conns[2], "a", false)
	proves(conns[2], "b", true)
	proves(conns[2], "a", true) // a second key on a connection that is b's
	proves(conns[3], "a", false)
	w.leave(conns[1])
	w.leave(conns[1])
	proves(conns[3], "a", true)
	for _, c := range conns {
		w.leave(c)
	}
	if len(w.waiting)+len(w.proven) != 0 {
		t.Errorf("left: %v, %v", w.waiting, w.proven)
	}
}

// TestBodiesMakeRoom: who has to go when there is no place.
func TestBodiesMakeRoom(t *testing.T) {
	const places = 3
	for name, row := range map[string]struct {
		reading []string // key and source
		in      string
		out     int // the one that goes
	}{
		"the key with the most":    {[]string{"a 1", "b 1", "b 2"}, "c 3", 1},
		"the oldest of equals":     {[]string{"a 1", "b 1", "c 1"}, "d 1", 0},
		"one's own before equals":  {[]string{"a 1", "b 1", "c 1"}, "c 2", 2},
		"the source with the most": {[]string{"a 1", "a 2", "a 2"}, "a 1", 1},
		"one's own source":         {[]string{"a 1", "a 2", "a 3"}, "a 3", 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bodies{places: make(chan struct{}, places)}
			cut := -1
			of := func(i int, text string) *body {
				key, source, _ := strings.Cut(text, " ")
				return &body{key: key, source: netip.PrefixFrom(netip.MustParseAddr("192.0.2."+source), 32), until: func(at time.Time) error {
					if at.Before(time.Now()) {
						cut = i
						<-b.places
					}
					return nil
				}}
			}
			for i, text := range row.reading {
				if err := b.enter(t.Context(), of(i, text), patience); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.enter(t.Context(), of(places, row.in), patience); err != nil || cut != row.out {
				t.Errorf("number %d had to go, want %d; %v", cut, row.out, err)
			}
		})
	}
}

// remote is a connection that only has another end.
type remote struct {
	net.Conn
	addr string
}

func (r remote) RemoteAddr() net.Addr { return address(r.addr) }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
