// Compiled when the image is made, for the packages that most functions use: see the Dockerfile.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	fmt.Println(bufio.ScanLines, bytes.MinRead, context.Background, base64.StdEncoding, json.Marshal, errors.New, io.EOF, math.Pi, rand.Int,
		os.Args, signal.Notify, regexp.MustCompile, runtime.GOOS, sort.Ints, strconv.Itoa, strings.ToUpper, &sync.Mutex{}, time.Now)
}
