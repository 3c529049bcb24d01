#include "control/store/snapshot.h"

#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

#include "dataplane/wire/crc32c.h"
#include "tests/control/store/temporary.h"

namespace penstock::test {
namespace {

using store::Contents;
using store::encode;
using store::Entry;

const Contents kSome{77,
                     {{"members/1", R"({"id":1})", 70, 0},
                      {"members/2", "", 3, 0},
                      {"z", std::string("\0\xff", 2), 77, 0}}};

auto decode(const std::string& bytes) {
  return store::decode(std::as_bytes(std::span(bytes)));
}

void same(const Contents& a, const Contents& b) {
  EXPECT_EQ(a.revision, b.revision);
  EXPECT_EQ(a.entries, b.entries);
}

TEST(Snapshot, IsReadAsItWasWritten) {
  same(decode(encode(kSome)).value(), kSome);
  same(decode(encode({})).value(), {});
}

TEST(Snapshot, LeavesLeasesOut) {
  EXPECT_EQ(decode(encode({1, {{"k", "v", 1, 99}}})).value().entries[0].lease, 0u);
}

TEST(Snapshot, IsRefusedWhicheverBitIsWrong) {
  const std::string good = encode(kSome);
  for (size_t at = 0; at < good.size(); at++) {
    for (int bit = 0; bit < 8; bit++) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      EXPECT_FALSE(decode(bad)) << "byte " << at << " bit " << bit;
    }
  }
}

TEST(Snapshot, IsRefusedWhenItIsCutOrHasMore) {
  const std::string good = encode(kSome);
  for (size_t size = 0; size < good.size(); size++)
    EXPECT_FALSE(decode(good.substr(0, size))) << size;
  EXPECT_FALSE(decode(good + '\0'));
}

// Whoever writes a right checksum over lengths that lie gets no further.
TEST(Snapshot, IsRefusedWhenItsLengthsLieUnderARightChecksum) {
  const auto sealed = [](std::string bytes) {
    const auto all = std::as_bytes(std::span(bytes));
    const uint32_t crc = crc32c(all.subspan(24), crc32c(all.first(20)));
    std::memcpy(bytes.data() + 20, &crc, sizeof crc);
    return bytes;
  };
  const std::string good = encode(kSome);
  ASSERT_TRUE(decode(sealed(good)));
  for (const size_t at :
       {16, 19, 32, 33, 34 + 9, 34 + 9 + 3}) {  // count, length of a key, of a value
    for (const int by : {1, -1, 0x7f}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] + by);
      EXPECT_FALSE(decode(sealed(bad))) << "byte " << at << " by " << by;
    }
  }
  EXPECT_FALSE(decode(sealed(good + "more")));
}

struct SnapshotFile : testing::Test {
  TemporaryFolder folder;
  std::string path = folder.file("snapshot");
};

TEST_F(SnapshotFile, IsReplacedAndReadBack) {
  same(store::load_snapshot(path).value(), {});
  ASSERT_TRUE(store::save_snapshot(path, {1, {}}));
  ASSERT_TRUE(store::save_snapshot(path, kSome));
  same(store::load_snapshot(path).value(), kSome);
}

TEST_F(SnapshotFile, WhatAHaltLeftHalfWrittenDoesNotCount) {
  ASSERT_TRUE(store::save_snapshot(path, kSome));
  std::ofstream(path + ".new") << "half";
  same(store::load_snapshot(path).value(), kSome);
  ASSERT_TRUE(store::save_snapshot(path, {78, {}}));
  EXPECT_EQ(store::load_snapshot(path).value().revision, 78u);
}

TEST_F(SnapshotFile, SaysWhatIsWrongAndWhere) {
  std::ofstream(path) << "something else";
  const auto other = store::load_snapshot(path);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().find(path), std::string::npos) << other.error();
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_FALSE(store::load_snapshot(path));
  EXPECT_FALSE(store::save_snapshot(path, kSome));
  EXPECT_FALSE(store::save_snapshot(folder.file("none/snapshot"), kSome));
}

}  // namespace
}  // namespace penstock::test
