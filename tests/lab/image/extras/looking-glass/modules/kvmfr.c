// SPDX-License-Identifier: GPL-2.0
/*
 * A stand-in for Looking Glass's kernel module, for the lab alone. vgapt, kmod, udev, libvirt and QEMU see the interface of
 * the true one (github.com/gnif/LookingGlass, module/kvmfr.c 0.0.12): the parameter static_size_mb, which sysfs does not show;
 * the class kvmfr with /dev/kvmfr0 and on, of root with the kernel's default mode; memory to map, which neither read nor lseek
 * reach; and the ioctl for its size. There is nothing for Looking Glass's client (DMA buffers) or in a guest (PCI).
 */
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

#define NAME "kvmfr"
#define MOST_DEVICES 10
#define GET_SIZE _IO('u', 0x44) /* KVMFR_DMABUF_GETSIZE of module/kvmfr.h */

static int static_size_mb[MOST_DEVICES];
static int wanted;
module_param_array(static_size_mb, int, &wanted, 0000);
MODULE_PARM_DESC(static_size_mb, "size of each device in MiB");

static struct memory {
	void *start;
	unsigned long size;
} memories[MOST_DEVICES];
static int made;
static int major;
static struct class *class;

static struct memory *memory_of(struct file *file)
{
	return &memories[iminor(file_inode(file))];
}

static int kvmfr_open(struct inode *inode, struct file *file)
{
	return iminor(inode) < made ? 0 : -ENXIO;
}

static long kvmfr_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	return request == GET_SIZE ? memory_of(file)->size : -ENOTTY;
}

/* What is beyond the memory is refused by remap_vmalloc_range. */
static int kvmfr_mmap(struct file *file, struct vm_area_struct *vma)
{
	return remap_vmalloc_range(vma, memory_of(file)->start, vma->vm_pgoff);
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = kvmfr_open,
	.unlocked_ioctl = kvmfr_ioctl,
	.mmap = kvmfr_mmap,
};

static int make(int mib)
{
	struct memory *memory = &memories[made];
	struct device *device;

	if (mib <= 0)
		return -EINVAL;
	memory->size = (unsigned long)mib << 20;
	memory->start = vmalloc_user(memory->size);
	if (!memory->start)
		return -ENOMEM;
	device = device_create(class, NULL, MKDEV(major, made), NULL, NAME "%d", made);
	if (IS_ERR(device)) {
		vfree(memory->start);
		return PTR_ERR(device);
	}
	made++;
	return 0;
}

static void kvmfr_exit(void)
{
	while (made > 0) {
		device_destroy(class, MKDEV(major, --made));
		vfree(memories[made].start);
	}
	class_destroy(class);
	unregister_chrdev(major, NAME);
}

static int __init kvmfr_init(void)
{
	int status = 0;

	major = register_chrdev(0, NAME, &operations);
	if (major < 0)
		return major;
	class = class_create(NAME);
	if (IS_ERR(class)) {
		unregister_chrdev(major, NAME);
		return PTR_ERR(class);
	}
	while (!status && made < wanted)
		status = make(static_size_mb[made]);
	if (status)
		kvmfr_exit();
	return status;
}

module_init(kvmfr_init);
module_exit(kvmfr_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("stand-in for Looking Glass's kernel module, for tests");
