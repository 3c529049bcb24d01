// Memory that processes share without trusting each other. The node creates it and hands it out:
//
//   SealedMemory::create ──▶ writer maps fd() ──▶ seal_writes() ──▶ readers get read_only_fd()
//     size sealed: nobody       keeps writing        no further writable mapping, write(),
//     can shrink or grow it     through it           hole or truncation, by anybody
//
// Without the size seal a peer could truncate the file and the next access here would be a SIGBUS;
// without the write seal a reader could reopen its descriptor through /proc and write.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/errc.h"
#include "dataplane/base/fd.h"

namespace penstock {

enum class Access : uint8_t { kRead, kReadWrite };

// A mapping, unmapped when it goes. Whoever keeps pointers into it keeps it.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept { swap(other); }
  Mapping& operator=(Mapping&& other) noexcept {
    swap(other);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  // Maps a descriptor that somebody else sent. `bytes` is the size that was agreed on: the file has
  // it, rounded up to its page size, or the answer is kInvalid; kDenied: a seal that protects us is
  // missing (the size for a writer; the size and writing for a reader). Keeps no reference to `fd`.
  static Result<Mapping> open(int fd, uint64_t bytes, Access access);

  // For us, from here on. What a device was told of before, it keeps.
  void forbid_writing();
  // Takes that back, of a mapping that was made for it.
  void allow_writing();

  std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }  // of the file: at least what was agreed on
  explicit operator bool() const { return data_ != nullptr; }

 private:
  friend class SealedMemory;
  static Result<Mapping> map(int fd, uint64_t bytes, Access access);
  void swap(Mapping& other) noexcept;

  std::byte* data_ = nullptr;
  uint64_t size_ = 0;
};

class SealedMemory {
 public:
  SealedMemory() = default;

  // `bytes` of zeroed memory under `name` (seen in /proc only), all of it taken at once, so that a
  // full machine says kNoMemory here and not as a SIGBUS later. In 2 MiB pages when asked to, when
  // it is at least one and there are enough free.
  static Result<SealedMemory> create(const char* name, uint64_t bytes, bool want_huge = false);

  // For the writer; lost for everybody else once writes are sealed.
  int fd() const { return fd_.get(); }
  uint64_t bytes() const { return bytes_; }  // rounded up to pages
  bool huge() const { return huge_; }

  // A mapping of our own.
  Result<Mapping> map(Access access) const { return Mapping::map(fd_.get(), bytes_, access); }

  // When every writer has mapped it. Mappings that exist keep what they may.
  Errc seal_writes();

  // A descriptor that cannot write, for readers.
  Result<Fd> read_only_fd() const;

 private:
  Fd fd_;
  uint64_t bytes_ = 0;
  bool huge_ = false;
};

}  // namespace penstock
