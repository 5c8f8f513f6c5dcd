"""Sentences that the program says in English, in Chinese for the visitors who read that."""

import re

# A pattern of an English sentence, and below it the Chinese one, with the pattern's groups by their numbers. The first
# pattern that fits is taken.
TABLE = r"""
(.+) cannot be read: it has more than (\d+) megapixels, the most that is read .*
    无法读取 {1}：超过 {2} 百万像素。请降低扫描分辨率，或裁成几张。
(.+) cannot be read: not an image, or damaged\. .*
    无法读取 {1}：不是图片，或文件已损坏。请用看图软件打开后另存一份再试。
(.+) cannot be read: it is empty\. .*
    无法读取 {1}：文件是空的。请重新复制或下载。
(.+) cannot be read: (?:image file is truncated|unrecognized data stream|broken data stream).*
    无法读取 {1}：文件不完整。请重新保存、重新发送或重新拍摄。
(.+) cannot be read: it is an animation of (\d+) pictures; .*
    无法读取 {1}：这是含 {2} 帧的动画。请把每一帧另存为单独的文件。
(.+) cannot be read: it holds (\d+) pages; .*
    无法读取 {1}：其中有 {2} 页。请把每一页另存为单独的文件。
(.+) cannot be read: HEIC needs one more package.*
    无法读取 {1}：服务器没有安装读取 HEIC 的软件包。请改用 JPEG。
(.+) cannot be read: it has no pages.*
    无法读取 {1}：其中没有页面。
(.+) cannot be read: (.* )?it has (\d+) pages, of (\d+) at most .*
    无法读取 {1}：有 {3} 页，最多读取 {4} 页。
(.+) cannot be read: damaged, or no PDF.*
    无法读取 {1}：不是 PDF，或文件已损坏。请用阅读软件打开后另存一份再试。
(.+) cannot be \w+: it takes more than ([\d.]+) seconds\. .*
    {1} 处理超过 {2} 秒，已停止。请另存一份再试。
(.+) cannot be \w+: (?:its decoder crashed|its decoder went astray|it needs more than) .*
    {1} 让解码程序出错，或需要太多内存。请另存一份再试。
(.+) stays as it is: .*
    {1} 保持原样，没有写入结果。
(.+) was not tried: .*
    {1} 没有尝试处理，因为这个文件已多次出错。请把它重新打印成 PDF。
(.+) cannot be read: (.+) Look at its permissions\.
    无法读取 {1}：{2} 请检查文件权限。
(.+) cannot be read: (.+)
    无法读取 {1}：{2}
(.+) cannot be written: (.+) Choose another place for it\.
    无法写入 {1}：{2}
(.+) changed while it was erased; .*
    {1} 在处理时被改动，没有写入结果。请再处理一次。
(.+): none of its pages could be erased\. (.+)
    {1}：没有一页能擦除。{2}
(.+): not enough memory for this page\.(.*)
    {1}：内存不足，无法处理这一页。{2}
(.+) In the output it stays as it was\.
    {1}结果中这一页保持原样。
(.+) In the output an empty page stands in its place\.
    {1}结果中这一页为空白页。
(.+) has (\d+) pages.*; (\d+) may be open at once here\..*
    {1} 有 {2} 页；这里最多同时打开 {3} 页，包括已打开的。请减少一次处理的页数。
(.+) has a page of (\d+) megapixels; (\d+) are allowed here\..*
    {1} 中有 {2} 百万像素的页面，这里最多 {3} 百万像素。请降低扫描分辨率。
(.+) has more than (\d+) megabytes, the most that is taken here\..*
    {1} 超过 {2} MB，这里不接收更大的文件。
(\d+) others wait already\..*
    已有 {1} 人在排队，请一分钟后再试。
your files take all the room that is allowed here\..*
    您的文件已占满允许的空间。请先下载，再移除所有文件。
this server has no room for more files now\..*
    服务器暂时没有空间了，请一小时后再试。
the files were removed\..*
    文件已被移除，请重新选择。
your browser keeps no cookie of this page\..*
    浏览器没有保存本页的 Cookie。请允许后重新载入网页。
there is no such picture\..*
    没有这张图片，请重新载入网页。
this page is not open any more\..*
    这一页已不在了，请重新选择文件。
the upload was cut short\..*
    上传中断，请再传一次。
the visitor has left
    已停止。
an unforeseen error ended this run\..*
    发生了意外错误，处理已停止。服务器日志中有详情。
sensitivity lies in 0\.\.1.*
    灵敏度须在 0 到 1 之间。
(\d+)% of the page was erased, where answered pages have 1 to 5 %; look at this page
    擦除了页面的 {1}%，而写有答案的页面通常为 1% 到 5%；请检查这一页
handwriting may be left; .*
    可能有笔迹残留；请检查这一页，或提高灵敏度
print may have been erased; .*
    印刷文字可能被误擦；请检查这一页，或降低灵敏度
(\d+)% of the print and writing was erased in part, .*
    {1}% 的文字和笔画只擦除了一部分，好像缩放比例不对；请检查这一页
no edge of a sheet was found, .*
    没有找到纸张的边缘，因此没有裁切和拉直；请检查这一页
its page became a picture
    这一页变成了图片
no text lines were found, .*
    没有找到文字行，缩放比例只是估计；请检查这一页
its text can no longer be selected
    文字无法再选中
it became a picture, without text, links and fields
    这一页变成了图片，不再有文字、链接和表单
its notes became part of its picture
    批注变成了图片的一部分
the digital signature no longer holds, .*
    数字签名失效，因为签署的内容被擦除了
what is filled into fields with handwriting is but in its picture
    带笔迹的表单域中填写的内容只保留在图片里
its form's XFA goes, which may tell what is erased; the form's fields stay
    表单的 XFA 已删除，因为其中可能留有擦除的内容；表单域保留
the file is damaged, and only its pages are kept, no outline, fields and attached files
    文件已损坏，只保留了页面，书签、表单域和附件没有保留
its end marker was missing
    文件末尾不完整
(\d+) bits a channel became 8
    每通道 {1} 位变为 8 位
transparent pixels became white
    透明处变为白色
(.+), page (\d+)
    {1} 第 {2} 页
(\w+) became RGB
    {1} 变为 RGB
"""

LINES = TABLE.strip().splitlines()
SENTENCES = {re.compile(english, re.DOTALL): chinese.strip() for english, chinese in zip(LINES[::2], LINES[1::2])}
ABOUT = re.compile(r"([^:]+): (.+)", re.DOTALL)  # FILE: SENTENCE


def translated(sentence: str, language: str) -> str:
    """A sentence of the program in a visitor's language, en or zh; as it is where no translation is known."""
    if language != "zh":
        return sentence
    for english, chinese in SENTENCES.items():
        if found := english.fullmatch(sentence):
            return chinese.format(sentence, *[translated(part, language) for part in found.groups("")])
    if named := ABOUT.fullmatch(sentence):
        return "：".join(translated(part, language) for part in named.groups())
    return sentence
