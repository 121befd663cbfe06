package wire

import (
	"net/http"
	"sync"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// What is done for a caller on TCP before its signature holds is bounded here:
// anybody who reaches the port can ask for it.
const (
	// ec2BodyMax is in bytes. A thousand rules with descriptions in one call,
	// which is also about as many parameters as one may have, take 400 KiB.
	ec2BodyMax = 512 << 10
	// A body of up to smallBody bytes needs no place: the connections bound
	// those. Of the others largeBodies are read at a time, so that all together
	// hold no more than about 16 MiB; more of them displace the oldest.
	smallBody   = 16 << 10
	largeBodies = 16
	// unprovenTime is for a body, and for the wait before it.
	unprovenTime = 5 * time.Second
	// lingerTime is how long what is left of a refused request is still taken,
	// and thrown away: closing at once could take the answer from the caller.
	lingerTime = 500 * time.Millisecond
	// doubtPause is the least time between two lines of the log about callers
	// who have not proven who they are.
	doubtPause = time.Second
)

// readUnproven reads the body of a caller who may be anybody, and says that it
// signs with the key of this id.
func (s *EC2) readUnproven(w http.ResponseWriter, r *http.Request, key string) ([]byte, error) {
	if r.ContentLength >= 0 && r.ContentLength <= smallBody {
		return readBody(w, r, ec2BodyMax)
	}
	in := &body{key: key, source: connOf(r.Context()).source, until: http.NewResponseController(w).SetReadDeadline}
	if err := s.large.enter(r.Context(), in, s.bodyTime); err != nil {
		return nil, err
	}
	text, err := readBody(w, r, ec2BodyMax)
	if s.large.leave(in) {
		return nil, api.Errorf("RequestLimitExceeded", "", "the request came too slowly and had to make room for others, and nothing was changed: ask again")
	}
	return text, err
}

// doubts counts the callers who were refused unproven since the last line of
// the log about one: who can write a line per request can fill a disk.
type doubts struct {
	mu      sync.Mutex
	told    time.Time
	leftOut int
}

// tell reports whether this one is worth a line, and how many were not.
func (d *doubts) tell(now time.Time) (leftOut int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if since := now.Sub(d.told); since >= 0 && since < doubtPause {
		d.leftOut++
		return 0, false
	}
	leftOut = d.leftOut
	d.told, d.leftOut = now, 0
	return leftOut, true
}

// distrust tells the log who could not show that it may call.
func (s *EC2) distrust(r *http.Request, key string, err error) {
	if leftOut, ok := s.doubts.tell(s.now()); ok {
		s.log.Warn("a request was refused: whose it is was not proven", "remote", r.RemoteAddr, "key", api.Printable(key),
			"error", api.Printable(err.Error()), "left_out_since_last", leftOut)
	}
}
