#include "dataplane/base/sealed_memory.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <utility>

namespace penstock {
namespace {

constexpr uint64_t kSmallPage = 4096;
constexpr uint64_t kHugePage = uint64_t{2} << 20;
constexpr uint64_t kMostBytes = uint64_t{1} << 46;

constexpr uint64_t round_up(uint64_t n, uint64_t unit) {
  return (n + unit - 1) & ~(unit - 1);
}

// A memfd of exactly `bytes`, every page of it taken, its size sealed.
Result<Fd> make(const char* name, uint64_t bytes, unsigned flags) {
  Fd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
  if (!fd) return Errc::kSystem;
  const auto size = static_cast<off_t>(bytes);
  // Only its owner opens it anew, even before writes are sealed.
  if (fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0) return Errc::kSystem;
  if (ftruncate(fd.get(), size) != 0) return Errc::kNoMemory;
  int taken = 0;
  do {
    taken = fallocate(fd.get(), 0, 0, size);
  } while (taken != 0 && errno == EINTR);
  if (taken != 0) return Errc::kNoMemory;
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) return Errc::kSystem;
  return fd;
}

}  // namespace

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, size_);
}

// It is a net under our own mistakes, so nothing depends on whether the kernel agrees.
void Mapping::forbid_writing() {
  (void)mprotect(data_, size_, PROT_READ);
}

void Mapping::allow_writing() {
  (void)mprotect(data_, size_, PROT_READ | PROT_WRITE);
}

void Mapping::swap(Mapping& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
}

Result<Mapping> Mapping::map(int fd, uint64_t bytes, Access access) {
  const int prot = access == Access::kRead ? PROT_READ : PROT_READ | PROT_WRITE;
  void* p = mmap(nullptr, bytes, prot, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (p == MAP_FAILED) return errno == ENOMEM ? Errc::kNoMemory : Errc::kDenied;
  Mapping m;
  m.data_ = static_cast<std::byte*>(p);
  m.size_ = bytes;
  return m;
}

Result<Mapping> Mapping::open(int fd, uint64_t bytes, Access access) {
  struct stat st {};
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return Errc::kInvalid;
  if (bytes == 0 || bytes > kMostBytes) return Errc::kInvalid;
  const auto size = static_cast<uint64_t>(st.st_size);
  if (size != round_up(bytes, kSmallPage) && size != round_up(bytes, kHugePage))
    return Errc::kInvalid;
  const int need =
      F_SEAL_SHRINK | F_SEAL_GROW | (access == Access::kRead ? F_SEAL_FUTURE_WRITE : 0);
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) return Errc::kInvalid;  // not a memfd
  if ((seals & need) != need) return Errc::kDenied;
  auto m = map(fd, size, access);
  // A fork would make two writers of one.
  if (m.ok()) (void)madvise((*m).data(), size, MADV_DONTFORK);
  return m;
}

Result<SealedMemory> SealedMemory::create(const char* name, uint64_t bytes, bool want_huge) {
  if (bytes == 0 || bytes > kMostBytes) return Errc::kInvalid;
  SealedMemory m;
  if (want_huge && bytes >= kHugePage) {
    auto fd = make(name, round_up(bytes, kHugePage), MFD_HUGETLB | MFD_HUGE_2MB);
    if (fd.ok()) {
      m.fd_ = std::move(*fd);
      m.bytes_ = round_up(bytes, kHugePage);
      m.huge_ = true;
      return m;
    }
  }
  auto fd = make(name, round_up(bytes, kSmallPage), 0);
  if (!fd.ok()) return fd.error();
  m.fd_ = std::move(*fd);
  m.bytes_ = round_up(bytes, kSmallPage);
  return m;
}

Errc SealedMemory::seal_writes() {
  const int seals = F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  return fcntl(fd_.get(), F_ADD_SEALS, seals) == 0 ? Errc::kOk : Errc::kSystem;
}

Result<Fd> SealedMemory::read_only_fd() const {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd_.get());
  Fd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) return Errc::kSystem;
  return fd;
}

}  // namespace penstock
