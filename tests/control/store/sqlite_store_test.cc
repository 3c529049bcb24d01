#include "control/store/sqlite_store.h"

#include <atomic>
#include <csignal>
#include <fstream>
#include <map>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/control/store/backend.h"
#include "tests/control/store/temporary.h"

namespace penstock::test {
namespace {

using store::Fault;
using store::SqliteStore;

class SqliteBackend : public Backend {
 public:
  std::unique_ptr<store::Store> open() override { return std::make_unique<SqliteStore>(options()); }
  void put(const std::string& key, const std::string& value) override {
    EXPECT_TRUE(writer_.txn(test::put(key, value)));
  }
  void remove(const std::string& key) override {
    EXPECT_TRUE(writer_.txn({{}, {{key, "", 0, true}}}));
  }
  void age(milliseconds time) override { now_ += static_cast<uint64_t>(time.count()); }
  void wipe() override {
    for (const char* part : {"s.db", "s.db-wal", "s.db-shm"})
      std::filesystem::remove(folder_.file(part));
  }
  void compact() override {
    for (int i = 0; i < 200; i++)
      put("filler", "x");
  }

 private:
  store::SqliteOptions options() {
    return {.path = folder_.file("s.db"),
            .keep_changes = 100,
            .now_ms = [this] { return now_.load(); },
            .boot = "1"};
  }

  TemporaryFolder folder_;
  std::atomic<uint64_t> now_ = 1000;
  SqliteStore writer_{options()};
};

std::unique_ptr<Backend> sqlite() {
  return std::make_unique<SqliteBackend>();
}
INSTANTIATE_TEST_SUITE_P(Sqlite, Contract, testing::Values(&sqlite));
INSTANTIATE_TEST_SUITE_P(Sqlite, Writing, testing::Values(&sqlite));

struct SqliteStoreTest : testing::Test {
  TemporaryFolder folder;
  std::string path = folder.file("deep/s.db");
};

TEST_F(SqliteStoreTest, WhatIsWrittenIsThereForTheNext) {
  ASSERT_TRUE(SqliteStore({.path = path}).txn(put("k", "v")));
  EXPECT_EQ(SqliteStore({.path = path}).range("k")->entries.at(0).value, "v");
}

TEST_F(SqliteStoreTest, ALeaseOfABootBeforeIsOver) {
  SqliteStore before({.path = path, .boot = "1"});
  const auto lease = before.grant(milliseconds(1000000));
  ASSERT_TRUE(before.txn(put("k", "v", lease->id)));
  SqliteStore after({.path = path, .boot = "2"});
  EXPECT_TRUE(after.range("k")->entries.empty());
}

TEST_F(SqliteStoreTest, ADatabaseOfSomethingElseIsLeftAlone) {
  sqlite3* db = nullptr;
  std::filesystem::create_directories(folder.file("deep"));
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "CREATE TABLE precious (x)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const auto size = std::filesystem::file_size(path);
  const auto refused = SqliteStore({.path = path}).range("");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::kInvalid);
  EXPECT_NE(refused.error().text.find("something else"), std::string::npos) << refused.error().text;
  EXPECT_EQ(std::filesystem::file_size(path), size);
}

TEST_F(SqliteStoreTest, AFileThatIsNoDatabaseIsLeftAlone) {
  std::filesystem::create_directories(folder.file("deep"));
  std::ofstream(path) << std::string(8192, 'x');
  const auto refused = SqliteStore({.path = path}).range("");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::kInvalid) << refused.error().text;
  EXPECT_EQ(std::filesystem::file_size(path), 8192u);
}

TEST_F(SqliteStoreTest, AFileOfANewerVersionIsLeftAlone) {
  ASSERT_TRUE(SqliteStore({.path = path}).txn(put("k", "v")));
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version = 2", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const auto refused = SqliteStore({.path = path}).range("");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::kInvalid) << refused.error().text;
}

TEST_F(SqliteStoreTest, APathThatCannotBeIsUnavailable) {
  const auto refused = SqliteStore({.path = "/proc/no/such.db"}).range("");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::kUnavailable);
  EXPECT_NE(refused.error().text.find("/proc/no/such.db"), std::string::npos);
}

TEST_F(SqliteStoreTest, WhoHoldsTheLockTooLongMakesItUnavailable) {
  SqliteStore store({.path = path, .time_limit = milliseconds(50)});
  ASSERT_TRUE(store.txn(put("k", "v")));
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto written = store.txn(put("k", "w"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().fault, Fault::kUnavailable);
  EXPECT_EQ(store.range("k")->entries.at(0).value, "v");  // reading waits for nobody
  sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  EXPECT_TRUE(store.txn(put("k", "w")));
}

TEST_F(SqliteStoreTest, AWatchThatIsFarBehindGetsAllAndCutsNoTransaction) {
  SqliteStore store({.path = path});
  for (int i = 0; i < 30; i++) {
    store::Txn txn;
    for (int k = 0; k < 60; k++)
      txn.writes.push_back({"k/" + std::to_string(k), std::to_string(i)});
    ASSERT_TRUE(store.txn(txn));
  }
  const auto watch = store.watch("k/", 0);
  ASSERT_TRUE(watch);
  size_t all = 0;
  while (all < 30 * 60) {
    const auto some = (*watch)->next(kSoon);
    ASSERT_TRUE(some && !some->empty());
    EXPECT_EQ(some->size() % 60, 0u);
    all += some->size();
  }
  EXPECT_EQ(all, 30u * 60u);
}

// Writes as long as it lives, and says what was acknowledged.
[[noreturn]] void write_for_ever(const std::string& path, int out, int who) {
  SqliteStore store({.path = path});
  for (int n = 1;; n++) {
    const std::string key = "w" + std::to_string(who) + "/" + std::to_string(n);
    const auto done = store.txn({{{key, 0}}, {{key, "a"}, {key + "x", "b"}}});
    if (!done || !done->applied) _exit(1);
    char line[64];
    const int len = std::snprintf(line, sizeof line, "%d %d\n", who, n);
    if (::write(out, line, static_cast<size_t>(len)) != len) _exit(2);
  }
}

TEST_F(SqliteStoreTest, WhatWasAcknowledgedSurvivesTheDeathOfItsWriters) {
  for (int round = 0; round < 6; round++) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_t writers[2];
    for (int w = 0; w < 2; w++) {
      writers[w] = fork();
      if (writers[w] == 0) write_for_ever(path, ends[1], round * 2 + w);
    }
    close(ends[1]);
    std::map<int, int> acked;
    FILE* in = fdopen(ends[0], "r");
    int who = 0;
    int n = 0;
    for (int lines = 0; lines < 20 + round && std::fscanf(in, "%d %d", &who, &n) == 2; lines++)
      acked[who] = n;
    for (const pid_t pid : writers)
      kill(pid, SIGKILL);
    while (std::fscanf(in, "%d %d", &who, &n) == 2)
      acked[who] = n;
    std::fclose(in);
    for (const pid_t pid : writers) {
      int status = 0;
      ASSERT_EQ(waitpid(pid, &status, 0), pid);
      EXPECT_TRUE(WIFSIGNALED(status)) << "a writer was refused: " << status;
    }
    ASSERT_FALSE(acked.empty());
    SqliteStore store({.path = path});
    uint64_t last_revision = 0;
    for (const auto& [writer, count] : acked) {
      const auto found = store.range("w" + std::to_string(writer) + "/");
      ASSERT_TRUE(found) << found.error().text;
      // One more may have been written and not acknowledged; both keys of each, at one revision.
      EXPECT_GE(found->entries.size(), 2u * static_cast<size_t>(count));
      EXPECT_LE(found->entries.size(), 2u * static_cast<size_t>(count) + 2);
      std::map<uint64_t, int> at;
      for (const auto& e : found->entries)
        at[e.revision]++;
      for (const auto& [revision, keys] : at)
        EXPECT_EQ(keys, 2) << revision;
      last_revision = found->revision;
    }
    EXPECT_TRUE(store.txn(put("round", std::to_string(round))));
    EXPECT_EQ(store.range("round")->revision, last_revision + 1);
  }
}

}  // namespace
}  // namespace penstock::test
