// SPDX-License-Identifier: Apache-2.0
//
// Files and directories, always relative to a directory descriptor. Every function returns -1 and leaves errno as the
// call that it is named after does, unless its comment says more. None retries EINTR: the Swift layer does, once.
#ifndef HF_FILE_H
#define HF_FILE_H

#include "hf_probe.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#pragma clang assume_nonnull begin

/* struct stat differs between platforms in the names of its times; this is the part that Holdfast uses. */
struct hf_status {
    uint64_t device, inode, links;
    int64_t size, modified_seconds, modified_nanoseconds, changed_seconds, changed_nanoseconds;
    uint32_t mode, owner, group;
};

/* openat(2) with O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK and O_NOCTTY always set. Variadic in C, so Swift cannot call it.
   Never returns 0, 1 or 2: in a process that was started with those closed, a state file on descriptor 2 would
   receive every later diagnostic. Such a descriptor is moved up (fcntl F_DUPFD_CLOEXEC); EMFILE if there is no room. */
int hf_openat(int directory, const char *name, int flags, mode_t mode);

/* openat(2) of a directory, read-only, O_CLOEXEC, with O_DIRECTORY where it exists, else with fstat (ENOTDIR).
   The last component is followed if it is a symbolic link only when `follow` is set. */
int hf_open_directory(int directory, const char *name, bool follow);

/* openat(2) with O_TMPFILE: a file of that directory without a name. EOPNOTSUPP where the file system, EISDIR or
   EINVAL where the kernel lacks it, ENOTSUP on a platform without it. O_TMPFILE is invisible to Swift (GNU only). */
int hf_open_unnamed(int directory, mode_t mode);

int hf_close(int descriptor);
int hf_fstat(int descriptor, struct hf_status *status);
/* fstatat(2) with AT_SYMLINK_NOFOLLOW. */
int hf_fstatat(int directory, const char *name, struct hf_status *status);

/* Device and inode of a name, a symbolic link's own; of the descriptor itself if the name is empty. statx(2) without
   the times: a request for those would make the next write of the file record a finer time (multigrain timestamps, Linux
   6.13), at three times its cost. */
int hf_identity_at(int directory, const char *name, uint64_t *device, uint64_t *inode);
/* The device of an open file, 0 if it is not known. statx(2) with AT_STATX_DONT_SYNC, which no file system's server is asked
   for: one that hangs does not hold up the caller. */
uint64_t hf_device(int descriptor);

/* renameat2(2) with RENAME_NOREPLACE (renameatx_np with RENAME_EXCL on Darwin): EEXIST if `to` exists; EINVAL or
   ENOSYS where the file system or the kernel cannot. */
int hf_renameat_noreplace(int directory, const char *from, const char *to);

/* linkat(2) of an open unnamed file through /proc/self/fd, which unlike AT_EMPTY_PATH needs no privilege. */
int hf_link_descriptor(int descriptor, int directory, const char *to);

/* preadv(2) and pwritev(2) of two pieces: a header and a payload go in one call without being copied together.
   `second` may be NULL if `second_count` is 0. May transfer less than asked. */
ssize_t hf_pread2(int descriptor, void *_Nullable first, size_t first_count, void *_Nullable second,
                  size_t second_count, off_t offset);
ssize_t hf_pwrite2(int descriptor, const void *_Nullable first, size_t first_count, const void *_Nullable second,
                   size_t second_count, off_t offset);

/* Data and metadata on the device. fsync(2); on Darwin fcntl F_FULLFSYNC, because fsync there leaves the drive's
   cache alone, and fsync only where the volume refuses that (ENOTSUP, EINVAL, ENOTTY). */
int hf_fsync(int descriptor);
/* The same without metadata that reading back does not need. fdatasync(2); hf_fsync on Darwin. */
int hf_fdatasync(int descriptor);
/* Orders earlier writes before later ones. fcntl F_BARRIERFSYNC on Darwin, fsync(2) elsewhere. */
int hf_barrier(int descriptor);

/* flistxattr(2), fgetxattr(2), fsetxattr(2): Darwin's have more parameters. */
ssize_t hf_flistxattr(int descriptor, char *_Nullable names, size_t capacity);
ssize_t hf_fgetxattr(int descriptor, const char *name, void *_Nullable value, size_t capacity);
int hf_fsetxattr(int descriptor, const char *name, const void *_Nullable value, size_t count);

/* Calls `visit` with each name of the directory but "." and ".."; opens the directory again (fdopendir(3) would take
   the caller's offset and descriptor). 0, or -1. */
int hf_list(int directory, void (*_Nonnull visit)(void *context, const char *name), void *context);

/* 1 if the file system of the descriptor is shared with other machines (by f_type), so that a PID or a boot id in a
   file may be another machine's; 0 if it is local; -1. */
int hf_is_network_file_system(int descriptor);

/* 1 if it is a file of overlayfs, by f_type: a descriptor opened for reading only may lead to another file than a
   writer's. */
int hf_is_overlay(int descriptor);

#pragma clang assume_nonnull end
#endif
