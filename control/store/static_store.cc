#include "control/store/static_store.h"

#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sstream>
#include <sys/inotify.h>
#include <system_error>
#include <toml++/toml.h>

#include "dataplane/base/fd.h"

namespace penstock::store {
namespace {

constexpr size_t kMaxFileBytes = 16 << 20;
// A dotted key nests as deep as its line is long, and toml++ takes a stack frame for each level.
constexpr size_t kMaxLineBytes = 4096;
constexpr size_t kMaxChanges = 10000;

// One form of each table, whatever the file looks like.
std::string json_of(const toml::table& table) {
  std::ostringstream out;
  out << toml::json_formatter{table};
  return nlohmann::json::parse(out.str()).dump();
}

// {"members/2": {...}}, or what is wrong.
Result<std::map<std::string, std::string>> parse(const std::string& path, const std::string& text) {
  const auto wrong = [&path](const toml::source_region& at, std::string_view what) {
    return error(Fault::kUnavailable, fmt::format("{}:{}: {}", path, at.begin.line, what));
  };
  if (text.size() > kMaxFileBytes)
    return error(Fault::kUnavailable, path + ": is larger than 16 MiB");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.size() > kMaxLineBytes)
      return error(Fault::kUnavailable,
                   fmt::format("{}: has a line of more than {} bytes", path, kMaxLineBytes));
  try {
    std::map<std::string, std::string> found;
    const toml::table file = toml::parse(text);
    for (const auto& [folder, rows] : file) {
      if (!rows.is_table()) return wrong(rows.source(), "only tables stand here: [members.2]");
      for (const auto& [name, row] : *rows.as_table()) {
        if (!row.is_table()) return wrong(row.source(), "only tables stand here: [members.2]");
        const std::string key = fmt::format("{}/{}", folder.str(), name.str());
        const Txn as_written{.conditions = {}, .writes = {{key, json_of(*row.as_table())}}};
        if (const auto good = check(as_written); !good)
          return wrong(row.source(), good.error().text);
        found[key] = as_written.writes[0].value;
      }
    }
    return found;
  } catch (const toml::parse_error& e) {
    return wrong(e.source(), e.description());
  }
}

}  // namespace

Result<void> StaticStore::refresh() {
  std::ifstream in(path_, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.is_open() || in.bad()) {
    const std::error_code why(errno, std::generic_category());
    return error(Fault::kUnavailable, fmt::format("{}: cannot be read: {}", path_, why.message()));
  }
  if (revision_ != 0 && text == text_) return {};
  const auto parsed = parse(path_, text);
  if (!parsed) return tl::unexpected(parsed.error());
  std::vector<Event> changes;
  for (const auto& [key, value] : *parsed)
    if (const auto had = entries_.find(key); had == entries_.end() || had->second.value != value)
      changes.push_back({{key, value, revision_ + 1, 0}, false});
  for (const auto& [key, entry] : entries_)
    if (!parsed->contains(key)) changes.push_back({{key, "", revision_ + 1, 0}, true});
  text_ = std::move(text);
  if (changes.empty() && revision_ != 0) return {};
  revision_++;
  for (const Event& e : changes) {
    if (e.removed)
      entries_.erase(e.entry.key);
    else
      entries_[e.entry.key] = e.entry;
    changes_.push_back(e);
  }
  while (changes_.size() > kMaxChanges) {
    forgotten_ = changes_.front().entry.revision;
    changes_.pop_front();
  }
  return {};
}

tl::unexpected<Error> StaticStore::read_only() const {
  return error(Fault::kReadOnly,
               fmt::format("the store is a file that programs only read: edit {}", path_));
}

Result<Contents> StaticStore::range(std::string_view prefix) {
  if (const auto fresh = refresh(); !fresh) return tl::unexpected(fresh.error());
  Contents all{revision_, {}};
  for (auto at = entries_.lower_bound(prefix);
       at != entries_.end() && at->first.starts_with(prefix); ++at)
    all.entries.push_back(at->second);
  return all;
}

Result<Outcome> StaticStore::txn(const Txn&) {
  return read_only();
}
Result<Lease> StaticStore::grant(std::chrono::milliseconds) {
  return read_only();
}
Result<void> StaticStore::keep_alive(uint64_t) {
  return read_only();
}
Result<void> StaticStore::revoke(uint64_t) {
  return read_only();
}

class StaticWatch : public Watch {
 public:
  StaticWatch(StaticStore& store, std::string_view prefix, uint64_t after)
      : store_(store),
        prefix_(prefix),
        after_(after),
        inotify_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    // The folder, not the file: who replaces a file leaves the old one as it is.
    const std::filesystem::path path(store.path_);
    const std::string folder = path.has_parent_path() ? path.parent_path().string() : ".";
    listens_ =
        inotify_add_watch(inotify_.get(), folder.c_str(),
                          IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR) >= 0;
  }

  Result<std::vector<Event>> next(std::chrono::milliseconds wait) override {
    if (!listens_)
      return error(Fault::kUnavailable, store_.path_ + ": its folder cannot be watched");
    const auto until = std::chrono::steady_clock::now() + wait;
    while (true) {
      if (const auto fresh = store_.refresh(); !fresh) return tl::unexpected(fresh.error());
      if (after_ < store_.forgotten_ || after_ > store_.revision_)
        return error(Fault::kCompacted, fmt::format("{}: has changed too often", store_.path_));
      std::vector<Event> events;
      for (const Event& e : store_.changes_)
        if (e.entry.revision > after_ && e.entry.key.starts_with(prefix_)) events.push_back(e);
      after_ = store_.revision_;
      if (!events.empty()) return events;
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      if (left.count() <= 0) return events;
      pollfd p{inotify_.get(), POLLIN, 0};
      poll(&p, 1, static_cast<int>(left.count()));
      std::byte drained[4096];
      while (read(inotify_.get(), drained, sizeof drained) > 0) {
      }
    }
  }

 private:
  StaticStore& store_;
  const std::string prefix_;
  uint64_t after_;
  Fd inotify_;
  bool listens_ = false;
};

Result<std::unique_ptr<Watch>> StaticStore::watch(std::string_view prefix, uint64_t after) {
  if (const auto fresh = refresh(); !fresh) return tl::unexpected(fresh.error());
  return std::make_unique<StaticWatch>(*this, prefix, after);
}

}  // namespace penstock::store
