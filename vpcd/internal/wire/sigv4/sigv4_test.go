package sigv4_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/wire/sigv4"
	"github.com/vpcfabric/vpc/vpcd/internal/wire/sigv4/sigv4test"
)

const (
	id     = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	form   = "application/x-www-form-urlencoded; charset=utf-8"
)

var now = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

// TestPublished are signatures that AWS has published, in the description of
// Signature Version 4 and in its test suite.
func TestPublished(t *testing.T) {
	for name, tt := range map[string]struct {
		method, host, target, contentType, body string
		service, signed, signature              string
	}{
		"description": {"GET", "iam.amazonaws.com", "/?Action=ListUsers&Version=2010-05-08", form, "", "iam",
			"content-type;host;x-amz-date", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
		"get-vanilla": {"GET", "example.amazonaws.com", "/", "", "", "service",
			"host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		"get-vanilla-query-order-key-case": {"GET", "example.amazonaws.com", "/?Param2=value2&Param1=value1", "", "", "service",
			"host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		"post-x-www-form-urlencoded": {"POST", "example.amazonaws.com", "/", "application/x-www-form-urlencoded", "Param1=value1", "service",
			"content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.target, nil)
			r.Host = tt.host
			r.Header.Set("X-Amz-Date", "20150830T123600Z")
			if tt.contentType != "" {
				r.Header.Set("Content-Type", tt.contentType)
			}
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+id+"/20150830/us-east-1/"+tt.service+
				"/aws4_request, SignedHeaders="+tt.signed+", Signature="+tt.signature)
			c, err := sigv4.Read(r, now, tt.service)
			if err != nil || c.AccessKey != id || c.Service != tt.service || !c.Verify(secret, []byte(tt.body)) {
				t.Errorf("%+v, %v: does not hold", c, err)
			}
			if c.Verify(secret, []byte(tt.body+" ")) || c.Verify(secret+" ", []byte(tt.body)) {
				t.Error("holds for another body or secret")
			}
		})
	}
}

// signed is a request that holds.
func signed(target, body string) *http.Request {
	r := httptest.NewRequest("POST", target, strings.NewReader(body))
	r.Host = "127.0.0.1:8773"
	r.Header.Set("Content-Type", form)
	sigv4test.Sign(r, body, id, secret, "ec2", now)
	return r
}

const body = "Action=DescribeVpcs&Version=2016-11-15"

// TestTampering: a change of anything that was signed breaks the signature.
func TestTampering(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"nothing": func(*http.Request) {},
		"method":  func(r *http.Request) { r.Method = "GET" },
		"host":    func(r *http.Request) { r.Host = "127.0.0.1:8774" },
		"path":    func(r *http.Request) { r.URL.Path = "/x" },
		"query":   func(r *http.Request) { r.URL.RawQuery = "a=b" },
		"type":    func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		"type twice": func(r *http.Request) {
			r.Header.Add("Content-Type", "text/plain")
		},
		"time":    func(r *http.Request) { r.Header.Set("X-Amz-Date", "20150830T123601Z") },
		"key":     func(r *http.Request) { edit(r, id, "AKIDOTHER") },
		"region":  func(r *http.Request) { edit(r, "local-1", "local-2") },
		"service": func(r *http.Request) { edit(r, "/ec2/", "/sts/") },
	} {
		t.Run(name, func(t *testing.T) {
			r := signed("/", body)
			change(r)
			c, err := sigv4.Read(r, now, "ec2", "sts")
			if err != nil {
				t.Fatal(err)
			}
			// The key's name is in no hash: what binds it is its secret.
			want := name == "nothing" || name == "key"
			if have := c.Verify(secret, []byte(body)); have != want {
				t.Errorf("holds: %t", have)
			}
		})
	}
}

func edit(r *http.Request, old, new string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
}

// TestRefused: what no secret could make good has a code and says why.
func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change     func(*http.Request)
		code, want string
	}{
		"unsigned":            {func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationToken", "not signed"},
		"basic":               {func(r *http.Request) { r.SetBasicAuth("a", "b") }, "IncompleteSignature", "algorithm"},
		"two":                 {func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, "IncompleteSignature", "algorithm"},
		"no signature":        {func(r *http.Request) { edit(r, ", Signature=", ", X=") }, "IncompleteSignature", "X="},
		"lacks one":           {func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Signature=00") }, "IncompleteSignature", "lacks"},
		"part twice":          {func(r *http.Request) { edit(r, "SignedHeaders=", "Signature=00, SignedHeaders=") }, "IncompleteSignature", "belong"},
		"short signature":     {func(r *http.Request) { edit(r, "Signature=", "Signature=00") }, "IncompleteSignature", "64 hex"},
		"no hex":              {func(r *http.Request) { edit(r, "Signature=", "Signature=xy") }, "IncompleteSignature", "64 hex"},
		"credential":          {func(r *http.Request) { edit(r, "/aws4_request", "") }, "IncompleteSignature", "Credential"},
		"no key":              {func(r *http.Request) { edit(r, id, "") }, "IncompleteSignature", "Credential"},
		"other service":       {func(r *http.Request) { edit(r, "/ec2/", "/s3/") }, "AuthFailure", "s3"},
		"host not signed":     {func(r *http.Request) { edit(r, "host;", "") }, "IncompleteSignature", "host"},
		"date not signed":     {func(r *http.Request) { edit(r, ";x-amz-date", "") }, "IncompleteSignature", "x-amz-date"},
		"type not signed":     {func(r *http.Request) { edit(r, "content-type;", "") }, "IncompleteSignature", "content-type"},
		"unsorted":            {func(r *http.Request) { edit(r, "content-type;host", "host;content-type") }, "IncompleteSignature", "sorted"},
		"upper case":          {func(r *http.Request) { edit(r, "host", "Host") }, "IncompleteSignature", "lower-case"},
		"signed twice":        {func(r *http.Request) { edit(r, "host;", "host;host;") }, "IncompleteSignature", "once"},
		"absent header":       {func(r *http.Request) { edit(r, "host;", "host;x-amz-a;") }, "IncompleteSignature", "no such header"},
		"date twice":          {func(r *http.Request) { r.Header.Add("X-Amz-Date", "20150830T123600Z") }, "IncompleteSignature", "2 headers"},
		"no date":             {func(r *http.Request) { r.Header.Del("X-Amz-Date"); edit(r, ";x-amz-date", "") }, "IncompleteSignature", "x-amz-date"},
		"senseless date":      {func(r *http.Request) { r.Header.Set("X-Amz-Date", "now") }, "IncompleteSignature", "now"},
		"another day":         {func(r *http.Request) { edit(r, "20150830", "20150829") }, "IncompleteSignature", "20150829"},
		"old":                 {func(r *http.Request) { r.Header.Set("X-Amz-Date", "20150830T122059Z") }, "RequestExpired", "clocks"},
		"of the future":       {func(r *http.Request) { r.Header.Set("X-Amz-Date", "20150830T125101Z") }, "RequestExpired", "clocks"},
		"session token":       {func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "t") }, "AuthFailure", "temporary"},
		"empty session token": {func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "") }, "AuthFailure", "temporary"},
		"broken query":        {func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, "MalformedQueryString", "query"},
	} {
		t.Run(name, func(t *testing.T) {
			r := signed("/", body)
			tt.change(r)
			_, err := sigv4.Read(r, now, "ec2", "sts")
			var e *api.Error
			if !errors.As(err, &e) || e.Code != tt.code || !strings.Contains(e.Message, tt.want) {
				t.Errorf("%v, want %s with %q", err, tt.code, tt.want)
			}
		})
	}
}

// TestSkew: a quarter of an hour is the most, to the second.
func TestSkew(t *testing.T) {
	for off, good := range map[time.Duration]bool{
		15 * time.Minute: true, -15 * time.Minute: true, 15*time.Minute + time.Second: false, -15*time.Minute - time.Second: false,
	} {
		if _, err := sigv4.Read(signed("/", body), now.Add(off), "ec2"); (err == nil) != good {
			t.Errorf("%v: %v", off, err)
		}
	}
}

// TestDate: clients that do not know X-Amz-Date sign Date.
func TestDate(t *testing.T) {
	r := signed("/", body)
	r.Header.Set("Date", now.Format(http.TimeFormat))
	r.Header.Del("X-Amz-Date")
	edit(r, "content-type;host;x-amz-date", "content-type;date;host")
	if _, err := sigv4.Read(r, now, "ec2"); err != nil {
		t.Error(err)
	}
	if _, err := sigv4.Read(r, now.Add(time.Hour), "ec2"); err == nil {
		t.Error("the header Date is not looked at")
	}
}

// TestQuery: the parameters of a GET are signed in an order and an escaping of
// their own, whatever those in the request were.
func TestQuery(t *testing.T) {
	r := httptest.NewRequest("GET", "/?Action=DescribeVpcs&Filter.1.Name=tag%3AName&Filter.1.Value.1=a%20b%2A~&empty=", nil)
	sigv4test.Sign(r, "", id, secret, "ec2", now)
	r.URL.RawQuery = "empty&Filter.1.Value.1=a+b*%7e&Filter.1.Name=tag:Name&Action=DescribeVpcs"
	c, err := sigv4.Read(r, now, "ec2")
	if err != nil || !c.Verify(secret, nil) {
		t.Errorf("%v", err)
	}
}

// FuzzRead: no header makes Read panic, and a signature over one request holds
// for no other.
func FuzzRead(f *testing.F) {
	good := signed("/", body)
	f.Add(good.Header.Get("Authorization"), "20150830T123600Z", "")
	f.Add("AWS4-HMAC-SHA256 Credential=/////, SignedHeaders=;;, Signature=", "", "a=b&a=b;c")
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r := &http.Request{Method: "POST", Host: good.Host, URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{
			"Authorization": {authorization}, "X-Amz-Date": {date}, "Content-Type": {form},
		}}
		c, err := sigv4.Read(r, now, "ec2")
		var e *api.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%T: %v", err, err)
		}
		if err == nil && c.Verify(secret, []byte(body)) && (date != "20150830T123600Z" || strings.Trim(query, "&") != "") {
			t.Errorf("holds for %q, %q, %q", authorization, date, query)
		}
	})
}
