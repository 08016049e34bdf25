// SPDX-License-Identifier: Apache-2.0

// service is an ordinary Go web service: it answers with a catalogue as JSON, sorted, searched, hashed or compressed.
// It knows nothing about profiling, and is built without symbols. With -load it also sends itself requests.
package main

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"sort"
	"strings"
)

// Item is one thing for sale.
type Item struct {
	ID    int      `json:"id"`
	Name  string   `json:"name"`
	Price float64  `json:"price"`
	Tags  []string `json:"tags"`
}

var (
	adjectives = []string{"red", "quiet", "heavy", "swift", "small", "bright", "old"}
	nouns      = []string{"lamp", "kettle", "chair", "bicycle", "clock"}
	question   = regexp.MustCompile(`^(swift|quiet)\s+(\w+) no\. (\d*[02468])$`)
)

func catalogue(n int) []Item {
	items := make([]Item, n)
	for i := range items {
		items[i] = Item{
			ID:    i,
			Name:  fmt.Sprintf("%s %s no. %d", adjectives[i%len(adjectives)], nouns[i%len(nouns)], i),
			Price: float64(i*7919%n) / 100,
			Tags:  strings.Fields("home garden sale")[:1+i%3],
		}
	}
	return items
}

func listItems(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(catalogue(200))
}

func cheapestItems(w http.ResponseWriter, r *http.Request) {
	items := catalogue(1000)
	sort.Slice(items, func(i, j int) bool { return items[i].Price < items[j].Price })
	json.NewEncoder(w).Encode(items[:10])
}

func searchItems(w http.ResponseWriter, r *http.Request) {
	found := []Item{}
	for _, item := range catalogue(500) {
		if question.MatchString(item.Name) {
			found = append(found, item)
		}
	}
	json.NewEncoder(w).Encode(found)
}

func checksum(w http.ResponseWriter, r *http.Request) {
	hash := sha256.New()
	for _, item := range catalogue(500) {
		fmt.Fprintln(hash, item)
	}
	fmt.Fprintf(w, "%x\n", hash.Sum(nil))
}

func exportItems(w http.ResponseWriter, r *http.Request) {
	z := gzip.NewWriter(w)
	json.NewEncoder(z).Encode(catalogue(300))
	z.Close()
}

func generateLoad(address string) {
	paths := []string{"/items", "/cheapest", "/search", "/checksum", "/export"}
	for n := 0; ; n++ {
		res, err := http.Get("http://" + address + paths[n%len(paths)])
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	load := flag.Int("load", 0, "clients that send requests to this very service")
	flag.Parse()
	http.HandleFunc("/items", listItems)
	http.HandleFunc("/cheapest", cheapestItems)
	http.HandleFunc("/search", searchItems)
	http.HandleFunc("/checksum", checksum)
	http.HandleFunc("/export", exportItems)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	for i := 0; i < *load; i++ {
		go generateLoad(listener.Addr().String())
	}
	log.Fatal(http.Serve(listener, nil))
}
