// SPDX-License-Identifier: Apache-2.0

// httpd is an HTTP service with net/http/pprof on a loopback port, under load from itself: JSON, sorting, regular
// expressions, hashing and compression. It prints its port in its first line.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"regexp"
	"sort"
	"strings"

	"prowltest/ctl"
)

type record struct {
	ID    int      `json:"id"`
	Name  string   `json:"name"`
	Score float64  `json:"score"`
	Tags  []string `json:"tags"`
}

func records(n int) []record {
	r := make([]record, n)
	for i := range r {
		r[i] = record{i, fmt.Sprintf("record-%d", i*7919%n), float64(i*31%n) / 3, []string{"a", "bb", "ccc"}}
	}
	return r
}

var pattern = regexp.MustCompile(`record-(\d+)[05]"`)

func handleJSON(w http.ResponseWriter, r *http.Request) {
	json.NewEncoder(w).Encode(records(100))
}

func handleSort(w http.ResponseWriter, r *http.Request) {
	rs := records(500)
	sort.Slice(rs, func(i, j int) bool { return rs[i].Score < rs[j].Score })
	fmt.Fprintln(w, rs[0].ID, rs[len(rs)-1].ID)
}

func handleMatch(w http.ResponseWriter, r *http.Request) {
	b, _ := json.Marshal(records(100))
	fmt.Fprintln(w, len(pattern.FindAll(b, -1)))
}

func handleHash(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%x\n", sha256.Sum256([]byte(strings.Repeat("prowl", 10_000))))
}

func handleGzip(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	json.NewEncoder(z).Encode(records(100))
	z.Close()
	fmt.Fprintln(w, b.Len())
}

func main() {
	clients := flag.Int("clients", 2, "clients of the load generator")
	flag.Parse()
	http.HandleFunc("/json", handleJSON)
	http.HandleFunc("/sort", handleSort)
	http.HandleFunc("/match", handleMatch)
	http.HandleFunc("/hash", handleHash)
	http.HandleFunc("/gzip", handleGzip)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(l, nil)
	for i := 0; i < *clients; i++ {
		go func() {
			paths := []string{"/json", "/sort", "/match", "/hash", "/gzip"}
			for n := 0; ; n++ {
				res, err := http.Get("http://" + l.Addr().String() + paths[n%len(paths)])
				if err != nil {
					log.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		}()
	}
	ctl.Ready(fmt.Sprintf("%q:%q", "http", l.Addr().String()))
	ctl.Serve(0)
}
