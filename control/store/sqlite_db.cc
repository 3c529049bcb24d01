#include "control/store/sqlite_db.h"

#include <filesystem>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <thread>
#include <utility>

namespace penstock::store {
namespace {

constexpr uint64_t kApplication = 0x50656e73;  // "Pens", in the header of the file
constexpr uint64_t kVersion = 1;

// `change` is what watches read: the newest revisions, and no value where a key was removed.
constexpr const char* kTables = R"(
  CREATE TABLE state (revision INTEGER NOT NULL, compacted INTEGER NOT NULL);
  INSERT INTO state VALUES (0, 0);
  CREATE TABLE entry (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL,
                      lease INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX entry_by_lease ON entry (lease) WHERE lease <> 0;
  CREATE TABLE change (revision INTEGER, key TEXT, value BLOB, lease INTEGER,
                       PRIMARY KEY (revision, key)) WITHOUT ROWID;
  CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl INTEGER NOT NULL,
                      expires INTEGER NOT NULL, boot TEXT NOT NULL);
)";

}  // namespace

SqliteDb::SqliteDb(std::string path, std::chrono::milliseconds time_limit)
    : path_(std::move(path)) {
  std::error_code ignored;  // opening says what is wrong
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
  if (sqlite3_open_v2(path_.c_str(), &db_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                      nullptr) != SQLITE_OK) {
    fail("opening it");
    return;
  }
  sqlite3_busy_timeout(db_, static_cast<int>(time_limit.count()));
  struct stat st {};
  if (stat(path_.c_str(), &st) == 0) device_ = st.st_dev, inode_ = st.st_ino;
  make_tables();
  // Two that open it at the same moment: the second is told at once that it is busy.
  const auto until = std::chrono::steady_clock::now() + time_limit;
  while (!failed()) {
    std::string mode;
    {
      SqliteQuery q(*this, "PRAGMA journal_mode = WAL");
      if (q.row()) mode = q.text(0);
    }
    if (mode == "wal") break;
    if (std::chrono::steady_clock::now() > until) {
      refuse("cannot be shared on this file system; choose a path on a local one");
    } else if (failed() && sqlite3_errcode(db_) == SQLITE_BUSY) {
      error_.clear();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  run("PRAGMA synchronous = FULL");  // what was acknowledged survives a power failure
}

SqliteDb::~SqliteDb() {
  sqlite3_close(db_);
}

void SqliteDb::make_tables() {
  run("BEGIN IMMEDIATE");
  const uint64_t application = number("PRAGMA application_id");
  const uint64_t tables = number("SELECT count(*) FROM sqlite_master");
  if (failed()) return;
  if (application == 0 && tables == 0) {
    run(kTables);
    run(fmt::format("PRAGMA application_id = {}", kApplication).c_str());
    run(fmt::format("PRAGMA user_version = {}", kVersion).c_str());
  } else if (application != kApplication) {
    refuse("is a database of something else; choose another path");
  } else if (const uint64_t version = number("PRAGMA user_version"); version != kVersion) {
    refuse(fmt::format("has format {}, this program has {}", version, kVersion));
  }
  run("COMMIT");
}

void SqliteDb::refuse(std::string text) {
  error_ = fmt::format("store {}: {}", path_, text);
  foreign_ = true;
}

void SqliteDb::fail(const char* doing) {
  if (failed()) return;
  foreign_ = db_ != nullptr && sqlite3_errcode(db_) == SQLITE_NOTADB;
  error_ = fmt::format("store {}: {} ({})", path_, db_ ? sqlite3_errmsg(db_) : "no memory", doing);
}

std::string SqliteDb::take_error() {
  std::string text = std::exchange(error_, "");
  if (db_ != nullptr && sqlite3_get_autocommit(db_) == 0) run("ROLLBACK");
  error_.clear();
  return text;
}

void SqliteDb::run(const char* sql) {
  if (!failed() && sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail(sql);
}

uint64_t SqliteDb::number(const char* sql) {
  SqliteQuery q(*this, sql);
  return q.row() ? q.number(0) : 0;
}

bool SqliteDb::replaced() const {
  struct stat st {};
  return stat(path_.c_str(), &st) != 0 || st.st_dev != device_ || st.st_ino != inode_;
}

void SqliteQuery::prepare(const char* sql) {
  if (!db_.failed() && sqlite3_prepare_v2(db_.db_, sql, -1, &statement_, nullptr) != SQLITE_OK)
    db_.fail(sql);
}

SqliteQuery::~SqliteQuery() {
  sqlite3_finalize(statement_);
}

bool SqliteQuery::row() {
  if (db_.failed()) return false;
  const int how = sqlite3_step(statement_);
  if (how != SQLITE_ROW && how != SQLITE_DONE) db_.fail(sqlite3_sql(statement_));
  return how == SQLITE_ROW;
}

void SqliteQuery::bind(uint64_t value) {
  if (!db_.failed()) sqlite3_bind_int64(statement_, ++bound_, static_cast<sqlite3_int64>(value));
}

void SqliteQuery::bind(std::string_view value) {
  if (!db_.failed())
    sqlite3_bind_text64(statement_, ++bound_, value.data(), value.size(), SQLITE_TRANSIENT,
                        SQLITE_UTF8);
}

void SqliteQuery::bind(std::nullptr_t) {
  if (!db_.failed()) sqlite3_bind_null(statement_, ++bound_);
}

uint64_t SqliteQuery::number(int column) const {
  return static_cast<uint64_t>(sqlite3_column_int64(statement_, column));
}

std::string SqliteQuery::text(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
}

bool SqliteQuery::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

}  // namespace penstock::store
