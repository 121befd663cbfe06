package meter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// Volley sends numbered UDP packets like Loss, but as whole packets from a raw
// socket: each can be a flow of its own, and their destination port changes
// while they flow. It serves what must arrive and what must not.
type Volley struct {
	cfg    VolleyConfig
	fd     int
	aim    atomic.Uint32
	source atomic.Uint32
	sent   atomic.Uint64

	stop           chan struct{}
	stopped        sync.Once
	sender, reader sync.WaitGroup
	conns          []net.PacketConn

	mu     sync.Mutex
	seen   []uint64 // a bit for each number
	ports  map[uint16]int
	last   time.Time // of all arrivals
	report Losses
}

// VolleyConfig says what is sent.
type VolleyConfig struct {
	From, To string     // namespaces
	Src, Dst netip.Addr // of an interface of each
	// Ports are those that the receiver listens on; the first is aimed at first.
	Ports []uint16
	PPS   int
	// Fresh is that every so many packets one has a source port of its own: with
	// fewer than 60,000 of those within a flow's timeout each is a new flow. The
	// others are one flow. 0 is none, 1 all of them.
	Fresh int
}

const (
	firstSource = 1024
	firstFresh  = 2048 // and up to the last port that there is
	volleyBytes = 20 + 8 + 8
)

// StartVolley returns when the receiver listens.
func StartVolley(cfg VolleyConfig) (*Volley, error) {
	v := &Volley{cfg: cfg, fd: -1, stop: make(chan struct{}), ports: map[uint16]int{}}
	v.aim.Store(uint32(cfg.Ports[0]))
	v.source.Store(firstSource)
	err := netns.Do(cfg.To, func() error {
		for _, port := range cfg.Ports {
			conn, err := net.ListenPacket("udp4", netip.AddrPortFrom(cfg.Dst, port).String())
			if err != nil {
				return err
			}
			v.conns = append(v.conns, conn)
			if err := bigBuffer(conn); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = netns.Do(cfg.From, func() (err error) {
			v.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
			return err
		})
	}
	if err != nil {
		v.close()
		return nil, fmt.Errorf("volley from %s to %s: %w", cfg.From, cfg.To, err)
	}
	for i, conn := range v.conns {
		v.reader.Go(func() { v.receive(conn, cfg.Ports[i]) })
	}
	v.sender.Go(v.send)
	return v, nil
}

func (v *Volley) close() {
	for _, c := range v.conns {
		c.Close()
	}
	if v.fd >= 0 {
		unix.Close(v.fd)
	}
}

// packet is complete but for the ports and the number: the kernel fills in
// what IP wants, and a UDP checksum of 0 is none.
func (v *Volley) packet() []byte {
	b := make([]byte, volleyBytes)
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], volleyBytes)
	copy(b[12:], v.cfg.Src.AsSlice())
	copy(b[16:], v.cfg.Dst.AsSlice())
	binary.BigEndian.PutUint16(b[24:], volleyBytes-20)
	return b
}

func (v *Volley) send() {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	packet, to := v.packet(), &unix.SockaddrInet4{Addr: v.cfg.Dst.As4()}
	start, every := time.Now(), uint64(v.cfg.Fresh)
	for n := uint64(0); ; {
		select {
		case <-v.stop:
			return
		case <-tick.C:
		}
		due := min(uint64(time.Since(start).Seconds()*float64(v.cfg.PPS)), lossMax)
		for ; n < due; n++ {
			source := uint16(v.source.Load())
			if every > 0 && n%every == 0 {
				source = uint16(firstFresh + n/every%(1<<16-firstFresh))
			}
			binary.BigEndian.PutUint16(packet[20:], source)
			binary.BigEndian.PutUint16(packet[22:], uint16(v.aim.Load()))
			binary.BigEndian.PutUint64(packet[28:], n)
			if unix.Sendto(v.fd, packet, 0, to) != nil {
				v.mu.Lock()
				v.report.Unsent++
				v.mu.Unlock()
			}
			v.sent.Add(1)
		}
	}
}

func (v *Volley) receive(conn net.PacketConn, port uint16) {
	buf := make([]byte, 64)
	for {
		n, _, err := conn.ReadFrom(buf)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n != 8 {
			continue
		}
		now := time.Now()
		v.arrived(binary.BigEndian.Uint64(buf), port, now)
		select {
		case <-v.stop:
			conn.SetReadDeadline(now.Add(settle))
		default:
		}
	}
}

func (v *Volley) arrived(n uint64, port uint16, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n >= lossMax {
		return
	}
	if !v.last.IsZero() {
		v.report.MaxGap = max(v.report.MaxGap, now.Sub(v.last))
	}
	v.last = now
	if word := int(n / 64); word >= len(v.seen) {
		v.seen = append(v.seen, make([]uint64, word+1-len(v.seen))...)
	}
	if bit := uint64(1) << (n % 64); v.seen[n/64]&bit != 0 {
		v.report.Duplicates++
	} else {
		v.seen[n/64] |= bit
		v.report.Received++
		v.ports[port]++
	}
}

// Aim gives the packets that follow another destination port.
func (v *Volley) Aim(port uint16) { v.aim.Store(uint32(port)) }

// Shift makes those that are one flow another one.
func (v *Volley) Shift() { v.source.Store(firstSource + (v.source.Load()+1)%(firstFresh-firstSource)) }

// Sent is the number of packets so far: the number of the next one.
func (v *Volley) Sent() int { return int(v.sent.Load()) }

// Arrived is how many packets have arrived at a port so far.
func (v *Volley) Arrived(port uint16) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ports[port]
}

// Stop ends the volley, waits for what is on its way and reports. missing are
// the numbers that did not arrive, a few of them at most.
func (v *Volley) Stop() (report Losses, missing []int) {
	const few = 100
	v.stopped.Do(func() {
		close(v.stop)
		v.sender.Wait()
		for _, c := range v.conns {
			c.SetReadDeadline(time.Now().Add(settle))
		}
		v.reader.Wait()
		v.close()
	})
	v.report.Sent = v.Sent()
	for n := 0; n < v.report.Sent && len(missing) < few; n++ {
		if n/64 >= len(v.seen) || v.seen[n/64]&(1<<(n%64)) == 0 {
			missing = append(missing, n)
		}
	}
	return v.report, slices.Clip(missing)
}
