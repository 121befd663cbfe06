package delta

import "time"

const (
	// graceTime is how long a failing object is tried by every pass: most of
	// what fails is only a moment early.
	graceTime = time.Second
	// longestWait bounds how long an object waits after its cause has gone.
	longestWait = 15 * time.Second
)

// failing is an object whose last write failed: with which value, since when,
// why, and when it is worth another try.
type failing[V comparable] struct {
	value       V
	since, next time.Time
	err         *KeyError
}

// again notes one more failure. A wait is as long as the failing has lasted, so
// tries double their distance however often passes come.
func (f failing[V]) again(v V, err *KeyError) failing[V] {
	now := time.Now()
	if f.since.IsZero() {
		f.since = now
	}
	f.value, f.err, f.next = v, err, now.Add(patience(now.Sub(f.since)))
	return f
}

// patience is the wait after failing for so long.
func patience(age time.Duration) time.Duration {
	if age < graceTime {
		return 0
	}
	return min(age, longestWait)
}

// settle forgets the failures of keys that need no write any more or another
// one: a new value, or the same after it was not wanted, is a new object.
func settle[K, V comparable](fails map[K]failing[V], todo map[K]V) {
	for k, f := range fails {
		if v, ok := todo[k]; !ok || v != f.value {
			delete(fails, k)
		}
	}
}
