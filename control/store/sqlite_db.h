// SqliteDb: a connection to a file that only this program writes, and statements on it. An error
// sticks: whatever comes after it does nothing, and the caller asks once at the end.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>

struct sqlite3;
struct sqlite3_stmt;

namespace penstock::store {

class SqliteDb {
 public:
  // Opens or makes the file and its tables. `failed()` says whether that went well.
  SqliteDb(std::string path, std::chrono::milliseconds time_limit);
  ~SqliteDb();
  SqliteDb(const SqliteDb&) = delete;
  SqliteDb& operator=(const SqliteDb&) = delete;

  bool failed() const { return !error_.empty(); }
  // A sentence; ends what was begun, so that the connection can be used again.
  std::string take_error();
  // The file is not ours, or of another version: no use in trying again.
  bool foreign() const { return foreign_; }

  void run(const char* sql);
  uint64_t number(const char* sql);
  // The file that was opened is no longer the one with this name: somebody deleted or replaced it.
  bool replaced() const;

 private:
  friend class SqliteQuery;
  void make_tables();
  void fail(const char* doing);
  void refuse(std::string text);

  std::string path_;
  sqlite3* db_ = nullptr;
  std::string error_;
  bool foreign_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// A statement with its arguments: `for (SqliteQuery q(db, "..."); q.row();) q.number(0)`.
class SqliteQuery {
 public:
  template <class... Arguments>
  SqliteQuery(SqliteDb& db, const char* sql, const Arguments&... arguments) : db_(db) {
    prepare(sql);
    (bind(arguments), ...);
  }
  ~SqliteQuery();
  SqliteQuery(const SqliteQuery&) = delete;
  SqliteQuery& operator=(const SqliteQuery&) = delete;

  // The next row; false at the end and after an error.
  bool row();
  // Runs it to its end.
  void run() {
    while (row()) {
    }
  }
  uint64_t number(int column) const;
  std::string text(int column) const;
  bool is_null(int column) const;

 private:
  void prepare(const char* sql);
  void bind(uint64_t value);
  void bind(std::string_view value);
  void bind(std::nullptr_t);

  SqliteDb& db_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

}  // namespace penstock::store
