package harness

import "time"

// poll asks until the answer is yes or the limit is over, and reports which.
// It asks at least once, and once more at the limit.
func poll(limit time.Duration, done func() bool) bool {
	end := time.After(limit)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for !done() {
		select {
		case <-end:
			return done()
		case <-tick.C:
		}
	}
	return true
}
