// SPDX-License-Identifier: Apache-2.0
//
// Files and directories: calls that are variadic, GNU only, or different on Darwin. The contracts stand in hf_file.h.
#include "hf_file.h"

#include <dirent.h>
#include <string.h>
#include <sys/xattr.h>

#ifdef __linux__
#include <linux/fs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#else
#include <sys/mount.h>
#include <sys/param.h>
#endif

static int above_standard_streams(int descriptor) {
    if (descriptor < 0 || descriptor > 2) {
        return descriptor;
    }
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    int error = errno;
    close(descriptor);
    errno = error;
    return moved;
}

int hf_openat(int directory, const char *name, int flags, mode_t mode) {
    return above_standard_streams(
        openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode));
}

int hf_open_directory(int directory, const char *name, bool follow) {
    /* O_NONBLOCK: without O_DIRECTORY the name may be a FIFO, whose open would wait for a writer. */
    int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | hf_o_directory | (follow ? 0 : O_NOFOLLOW);
    int descriptor = above_standard_streams(openat(directory, name, flags));
#if !HF_HAS_O_DIRECTORY
    struct stat status;
    if (descriptor >= 0 && (fstat(descriptor, &status) != 0 || !S_ISDIR(status.st_mode))) {
        close(descriptor);
        errno = ENOTDIR;
        return -1;
    }
#endif
    return descriptor;
}

int hf_open_unnamed(int directory, mode_t mode) {
#ifdef O_TMPFILE
    return above_standard_streams(openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
#else
    (void)directory, (void)mode;
    errno = ENOTSUP;
    return -1;
#endif
}

int hf_close(int descriptor) {
    return close(descriptor);
}

static int translate(int result, const struct stat *from, struct hf_status *to) {
    if (result != 0) {
        return result;
    }
    *to = (struct hf_status){
        .device = (uint64_t)from->st_dev,
        .inode = from->st_ino,
        .links = from->st_nlink,
        .size = from->st_size,
#ifdef __APPLE__
        .modified_seconds = from->st_mtimespec.tv_sec,
        .modified_nanoseconds = from->st_mtimespec.tv_nsec,
        .changed_seconds = from->st_ctimespec.tv_sec,
        .changed_nanoseconds = from->st_ctimespec.tv_nsec,
#else
        .modified_seconds = from->st_mtim.tv_sec,
        .modified_nanoseconds = from->st_mtim.tv_nsec,
        .changed_seconds = from->st_ctim.tv_sec,
        .changed_nanoseconds = from->st_ctim.tv_nsec,
#endif
        .mode = from->st_mode,
        .owner = from->st_uid,
        .group = from->st_gid,
    };
    return 0;
}

int hf_fstat(int descriptor, struct hf_status *status) {
    struct stat raw;
    return translate(fstat(descriptor, &raw), &raw, status);
}

int hf_fstatat(int directory, const char *name, struct hf_status *status) {
    struct stat raw;
    return translate(fstatat(directory, name, &raw, AT_SYMLINK_NOFOLLOW), &raw, status);
}

int hf_identity_at(int directory, const char *name, uint64_t *device, uint64_t *inode) {
#ifdef __linux__
    struct statx found;
    if (statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_INO, &found) != 0) {
        return -1;
    }
    *device = makedev(found.stx_dev_major, found.stx_dev_minor);
    *inode = found.stx_ino;
#else
    struct hf_status found;
    if ((*name == 0 ? hf_fstat(directory, &found) : hf_fstatat(directory, name, &found)) != 0) {
        return -1;
    }
    *device = found.device;
    *inode = found.inode;
#endif
    return 0;
}

uint64_t hf_device(int descriptor) {
#ifdef __linux__
    struct statx found;
    if (statx(descriptor, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found) != 0) {
        return 0;
    }
    return makedev(found.stx_dev_major, found.stx_dev_minor);
#else
    struct stat found;
    return fstat(descriptor, &found) == 0 ? (uint64_t)found.st_dev : 0;
#endif
}

int hf_renameat_noreplace(int directory, const char *from, const char *to) {
#ifdef __linux__
    return (int)syscall(SYS_renameat2, directory, from, directory, to, RENAME_NOREPLACE);
#else
    return renameatx_np(directory, from, directory, to, RENAME_EXCL);
#endif
}

int hf_link_descriptor(int descriptor, int directory, const char *to) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    return linkat(AT_FDCWD, path, directory, to, AT_SYMLINK_FOLLOW);
}

ssize_t hf_pread2(int descriptor, void *first, size_t first_count, void *second, size_t second_count, off_t offset) {
    struct iovec pieces[2] = {{first, first_count}, {second, second_count}};
    return preadv(descriptor, pieces, second_count == 0 ? 1 : 2, offset);
}

ssize_t hf_pwrite2(int descriptor, const void *first, size_t first_count, const void *second, size_t second_count,
                   off_t offset) {
    struct iovec pieces[2] = {{(void *)first, first_count}, {(void *)second, second_count}};
    return pwritev(descriptor, pieces, second_count == 0 ? 1 : 2, offset);
}

int hf_fsync(int descriptor) {
#ifdef __APPLE__
    if (fcntl(descriptor, F_FULLFSYNC) == 0) {
        return 0;
    }
    if (errno != ENOTSUP && errno != EINVAL && errno != ENOTTY) {
        return -1;
    }
#endif
    return fsync(descriptor);
}

int hf_fdatasync(int descriptor) {
#ifdef __APPLE__
    return hf_fsync(descriptor);
#else
    return fdatasync(descriptor);
#endif
}

int hf_barrier(int descriptor) {
#ifdef __APPLE__
    if (fcntl(descriptor, F_BARRIERFSYNC) == 0) {
        return 0;
    }
    return hf_fsync(descriptor);
#else
    return fsync(descriptor);
#endif
}

#ifdef __APPLE__
#define HF_XATTR_LIST(descriptor, names, capacity) flistxattr(descriptor, names, capacity, 0)
#define HF_XATTR_GET(descriptor, name, value, capacity) fgetxattr(descriptor, name, value, capacity, 0, 0)
#define HF_XATTR_SET(descriptor, name, value, count) fsetxattr(descriptor, name, value, count, 0, 0)
#else
#define HF_XATTR_LIST(descriptor, names, capacity) flistxattr(descriptor, names, capacity)
#define HF_XATTR_GET(descriptor, name, value, capacity) fgetxattr(descriptor, name, value, capacity)
#define HF_XATTR_SET(descriptor, name, value, count) fsetxattr(descriptor, name, value, count, 0)
#endif

ssize_t hf_flistxattr(int descriptor, char *names, size_t capacity) {
    return HF_XATTR_LIST(descriptor, names, capacity);
}

ssize_t hf_fgetxattr(int descriptor, const char *name, void *value, size_t capacity) {
    return HF_XATTR_GET(descriptor, name, value, capacity);
}

int hf_fsetxattr(int descriptor, const char *name, const void *value, size_t count) {
    return HF_XATTR_SET(descriptor, name, value, count);
}

int hf_list(int directory, void (*visit)(void *context, const char *name), void *context) {
    int descriptor = hf_open_directory(directory, ".", false);
    if (descriptor < 0) {
        return -1;
    }
    DIR *stream = fdopendir(descriptor);
    if (stream == NULL) {
        int error = errno;
        close(descriptor);
        errno = error;
        return -1;
    }
    int error;
    while (true) {
        errno = 0; /* readdir(3) tells its end from an error by errno alone */
        struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            error = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            visit(context, entry->d_name);
        }
    }
    closedir(stream);
    errno = error;
    return error == 0 ? 0 : -1;
}

int hf_is_network_file_system(int descriptor) {
    struct statfs status;
    if (fstatfs(descriptor, &status) != 0) {
        return -1;
    }
#ifdef __APPLE__
    return (status.f_flags & MNT_LOCAL) == 0;
#else
    switch ((uint32_t)status.f_type) {
    case 0x00006969: /* NFS */
    case 0x0000517B: /* SMB */
    case 0xFE534D42: /* SMB2 */
    case 0xFF534D42: /* CIFS */
    case 0x01021997: /* 9P */
    case 0x00C36400: /* Ceph */
    case 0x5346414F: /* OpenAFS */
    case 0x6B414653: /* kernel AFS */
    case 0x73757245: /* Coda */
    case 0x0BD00BD0: /* Lustre */
    case 0x01161970: /* GFS2 */
    case 0x7461636F: /* OCFS2 */
    case 0x65735546: /* FUSE: sshfs and others; the file system below it cannot be seen */
    case 0x47504653: /* GPFS */
        return 1;
    default:
        return 0;
    }
#endif
}

int hf_is_overlay(int descriptor) {
#ifdef __linux__
    struct statfs status;
    return fstatfs(descriptor, &status) == 0 && (uint32_t)status.f_type == 0x794C7630;
#else
    (void)descriptor;
    return 0;
#endif
}
