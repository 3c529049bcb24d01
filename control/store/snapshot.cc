#include "control/store/snapshot.h"

#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "dataplane/base/fd.h"
#include "dataplane/wire/crc32c.h"

namespace penstock::store {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "PENSNAP1";
constexpr size_t kRevisionAt = 8, kCountAt = 16, kCrcAt = 20, kHeader = 24;
constexpr size_t kMaxBytes = size_t{1} << 30;

template <class T>
void put(std::string& out, T number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// Takes from the front; once there is too little, there is nothing more.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : left_(bytes) {}

  template <class T>
  T number() {
    T n{};
    const auto b = bytes(sizeof n);
    if (!b.empty()) std::memcpy(&n, b.data(), sizeof n);
    return n;
  }
  std::string text(size_t size) {
    const auto b = bytes(size);
    return {reinterpret_cast<const char*>(b.data()), b.size()};
  }
  bool good() const { return good_; }
  bool at_end() const { return good_ && left_.empty(); }

 private:
  std::span<const std::byte> bytes(size_t size) {
    if (size > left_.size()) good_ = false;
    if (!good_) return {};
    const auto front = left_.first(size);
    left_ = left_.subspan(size);
    return front;
  }

  std::span<const std::byte> left_;
  bool good_ = true;
};

uint32_t checksum(std::span<const std::byte> all) {
  return crc32c(all.subspan(kHeader), crc32c(all.first(kCrcAt)));
}

std::string why() {
  return std::error_code(errno, std::generic_category()).message();
}

}  // namespace

std::string encode(const Contents& contents) {
  std::string out(kMagic);
  put(out, contents.revision);
  put(out, static_cast<uint32_t>(contents.entries.size()));
  put(out, uint32_t{0});
  for (const Entry& e : contents.entries) {
    put(out, e.revision);
    put(out, static_cast<uint16_t>(e.key.size()));
    out += e.key;
    put(out, static_cast<uint32_t>(e.value.size()));
    out += e.value;
  }
  const uint32_t crc = checksum(std::as_bytes(std::span(out)));
  std::memcpy(out.data() + kCrcAt, &crc, sizeof crc);
  return out;
}

tl::expected<Contents, std::string> decode(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeader || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
    return tl::unexpected<std::string>("is no snapshot, or one of another version");
  uint32_t crc = 0;
  std::memcpy(&crc, bytes.data() + kCrcAt, sizeof crc);
  if (crc != checksum(bytes)) return tl::unexpected<std::string>("is damaged");
  Contents contents;
  Cursor in(bytes.subspan(kRevisionAt));
  contents.revision = in.number<uint64_t>();
  const auto count = in.number<uint32_t>();
  (void)in.number<uint32_t>();
  for (uint32_t i = 0; i < count && in.good(); i++) {
    Entry e;
    e.revision = in.number<uint64_t>();
    e.key = in.text(in.number<uint16_t>());
    e.value = in.text(in.number<uint32_t>());
    contents.entries.push_back(std::move(e));
  }
  if (!in.at_end()) return tl::unexpected<std::string>("is not as long as it says");
  return contents;
}

tl::expected<void, std::string> save_snapshot(const std::string& path, const Contents& contents) {
  const auto fail = [&path](const char* what) {
    return tl::unexpected(fmt::format("{}: {}: {}", path, what, why()));
  };
  const std::string bytes = encode(contents);
  const std::string fresh = path + ".new";
  {
    const Fd file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) return fail("cannot be written");
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t n = write(file.get(), bytes.data() + at, bytes.size() - at);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return fail("cannot be written");
      at += static_cast<size_t>(n);
    }
    if (fsync(file.get()) != 0) return fail("cannot be synced");
  }
  if (rename(fresh.c_str(), path.c_str()) != 0) return fail("cannot be replaced");
  const std::string folder = std::filesystem::path(path).parent_path();
  const Fd dir(open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || fsync(dir.get()) != 0) return fail("its directory cannot be synced");
  return {};
}

tl::expected<Contents, std::string> load_snapshot(const std::string& path) {
  const auto fail = [&path](const std::string& what) {
    return tl::unexpected(fmt::format("{}: {}; the node begins without it", path, what));
  };
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno == ENOENT ? tl::expected<Contents, std::string>(Contents{}) : fail(why());
  struct stat st {};
  if (fstat(file.get(), &st) != 0) return fail(why());
  if (!S_ISREG(st.st_mode) || static_cast<size_t>(st.st_size) > kMaxBytes)
    return fail("is no snapshot");
  std::string bytes(static_cast<size_t>(st.st_size), '\0');
  size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t n = read(file.get(), bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(n < 0 ? why() : "is damaged");
    at += static_cast<size_t>(n);
  }
  auto contents = decode(std::as_bytes(std::span(bytes)));
  if (!contents) return fail(contents.error());
  return contents;
}

}  // namespace penstock::store
