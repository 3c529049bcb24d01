#include "dataplane/wire/batch.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace penstock {
namespace {

using Bytes = std::vector<std::byte>;

// The most that a message of `len` bytes takes of a batch.
constexpr size_t record_room(uint64_t len) {
  return kRecordSize + 16 + ((len + 7) & ~uint64_t{7});
}

// A record of any shape, which refers to `pool`.
Record random_record(std::mt19937_64& rng, const Bytes& pool, uint64_t source) {
  Record r;
  r.source = rng() % 4 == 0 ? rng() : source;
  r.time = rng();
  r.key = rng() % 3 == 0 ? rng() : 0;
  r.topic = static_cast<uint16_t>(rng());
  r.gap = rng() % 8 == 0;
  r.parts = static_cast<uint8_t>(1 + rng() % 255);
  if (!r.gap) {
    r.len = static_cast<uint32_t>(rng() % 200);
    r.bytes = pool.data() + rng() % (pool.size() - r.len);
  }
  return r;
}

void expect_same(const Record& a, const Record& b) {
  EXPECT_EQ(a.topic, b.topic);
  EXPECT_EQ(a.parts, b.parts);
  EXPECT_EQ(a.gap, b.gap);
  EXPECT_EQ(a.time, b.time);
  EXPECT_EQ(a.key, b.key);
  EXPECT_EQ(a.source, b.source);
  ASSERT_EQ(a.len, b.len);
  EXPECT_TRUE(std::equal(a.bytes, a.bytes + a.len, b.bytes));
}

// A batch of one record with 5 bytes, no key.
Bytes small_batch() {
  Bytes out(kBatchHeaderSize + kRecordSize + 8);
  BatchWriter w({1, 2, 3, 4, 5}, out);
  Record r;
  r.bytes = out.data();
  r.len = 5;
  r.source = 5;
  EXPECT_TRUE(w.append(r));
  EXPECT_EQ(w.size(), out.size());
  return out;
}

// Records that could be read, and whether the batch was well formed.
std::pair<int, bool> walk(std::span<const std::byte> body) {
  if (!parse_batch(body)) return {0, false};
  BatchReader in(body);
  Record r;
  int n = 0;
  while (in.next(r))
    n++;
  EXPECT_FALSE(in.next(r)) << "goes on after its end";
  return {n, !in.malformed()};
}

TEST(Batch, GivesBackWhatWasPutInUntilTheFrameIsFull) {
  for (uint64_t seed = 0; seed < 500; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    Bytes pool(1024);
    for (auto& b : pool)
      b = static_cast<std::byte>(rng());
    Bytes out(kBatchHeaderSize + 40 + rng() % 3000, std::byte{0xee});
    const Bytes guard = out;
    const size_t room = out.size() - rng() % 9;
    const BatchHeader h{static_cast<uint32_t>(rng()), static_cast<uint32_t>(rng()), rng(), rng(),
                        rng()};
    BatchWriter w(h, std::span(out).first(room));
    std::vector<Record> in;
    for (;;) {
      Record r = random_record(rng, pool, in.empty() ? h.source : in.back().source + 1);
      if (in.empty()) r.source = h.source;
      const size_t before = w.size();
      if (!w.append(r)) {
        EXPECT_EQ(w.size(), before);
        EXPECT_GT(record_room(r.len), room - before);
        break;
      }
      EXPECT_LE(w.size() - before, record_room(r.len));
      in.push_back(r);
    }
    EXPECT_EQ(w.empty(), in.empty());
    EXPECT_EQ(std::memcmp(&out[w.size()], &guard[w.size()], out.size() - w.size()), 0);
    if (in.empty()) continue;

    const auto body = std::span(out).first(w.size());
    EXPECT_EQ(parse_batch(body), h);
    BatchReader reader(body);
    Record got;
    for (const Record& r : in) {
      ASSERT_TRUE(reader.next(got));
      expect_same(got, r);
    }
    EXPECT_FALSE(reader.next(got));
    EXPECT_FALSE(reader.malformed());
  }
}

TEST(Batch, RefusesEveryTruncation) {
  const Bytes all = small_batch();
  EXPECT_EQ(walk(all), (std::pair{1, true}));
  for (size_t n = 0; n < all.size(); n++) {
    EXPECT_EQ(walk(std::span(all).first(n)), (std::pair{0, false})) << n;
  }
}

TEST(Batch, RefusesALengthThatRunsOverTheEnd) {
  for (const uint32_t len : {9u, 0x7fffffffu, 0xfffffff8u, 0xffffffffu}) {
    Bytes b = small_batch();
    store_le(&b[kBatchHeaderSize], len);
    EXPECT_EQ(walk(b), (std::pair{0, false})) << len;
  }
}

TEST(Batch, RefusesFlagsThatAreUnknownOrNotNeeded) {
  for (unsigned flags = 1; flags < 256; flags++) {
    Bytes b = small_batch();
    b[kBatchHeaderSize + 7] = static_cast<std::byte>(flags);
    EXPECT_EQ(walk(b), (std::pair{0, false})) << flags;
  }
  Bytes b(kBatchHeaderSize + kRecordSize + 8);
  b[kBatchHeaderSize + 6] = std::byte{1};
  b[kBatchHeaderSize + 7] = std::byte{kRecordKey};
  EXPECT_EQ(walk(b), (std::pair{0, false})) << "a key of 0";
  b[kBatchHeaderSize + kRecordSize] = std::byte{1};
  EXPECT_EQ(walk(b), (std::pair{1, true}));
}

TEST(Batch, RefusesASourceThatIsNotNeeded) {
  constexpr size_t kSecond = kBatchHeaderSize + kRecordSize;
  Bytes b(kSecond + kRecordSize + 8);  // two empty messages; the second with a source
  BatchWriter w({}, b);
  Record r;
  EXPECT_TRUE(w.append(r));
  r.source = 7;
  EXPECT_TRUE(w.append(r));
  EXPECT_EQ(walk(b), (std::pair{2, true}));
  store_le(&b[kSecond + kRecordSize], uint64_t{1});
  EXPECT_EQ(walk(b), (std::pair{1, false})) << "it follows anyway";
  std::copy_n(&b[kSecond], kRecordSize + 8, &b[kBatchHeaderSize]);
  b.resize(kSecond + 8);
  store_le(&b[kSecond], uint64_t{7});
  EXPECT_EQ(walk(b), (std::pair{0, false})) << "the first one's is in the header";
}

TEST(Batch, RefusesPaddingThatIsNotZeroAndMessagesWithoutParts) {
  Bytes b = small_batch();
  b.back() = std::byte{1};
  EXPECT_EQ(walk(b), (std::pair{0, false}));
  b = small_batch();
  b[kBatchHeaderSize + 6] = std::byte{0};
  EXPECT_EQ(walk(b), (std::pair{0, false}));
}

TEST(Batch, SurvivesAnyBytes) {
  for (uint64_t seed = 0; seed < 2000; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    Bytes b = small_batch();
    for (int i = 0; i < 3; i++)
      b[rng() % b.size()] = static_cast<std::byte>(rng());
    walk(std::span(b).first(rng() % (b.size() + 1)));
  }
}

}  // namespace
}  // namespace penstock
