-- Commands and keys to bind; nothing is bound and nothing needs to be set up.
if vim.g.loaded_zmqkernel or vim.fn.has("nvim-0.10") == 0 then
  return
end
vim.g.loaded_zmqkernel = true

local function call(name)
  return function(...)
    return require("zmqkernel")[name](...)
  end
end

vim.api.nvim_create_autocmd("FileType", {
  group = vim.api.nvim_create_augroup("zmqkernel", { clear = true }),
  pattern = "python",
  callback = function(event)
    require("zmqkernel").attach(event.buf)
  end,
})

local create = vim.api.nvim_create_user_command
create("ZmqRunCell", call("run_cell"), { desc = "Run the cell under the cursor" })
create("ZmqRunCellAndAdvance", call("run_cell_and_advance"), { desc = "Run the cell, go to the next" })
create("ZmqRunSelection", call("run_lines"), { range = true, desc = "Run these lines" })
create("ZmqRun", call("run"), { nargs = 1, complete = call("complete_run"), desc = "Run cells, the line, the expression" })
create("ZmqInterrupt", call("interrupt"), { desc = "Interrupt the running cell" })
create("ZmqOpenImage", call("open_image"), { desc = "Open the images of the output below" })

vim.keymap.set("n", "<Plug>(zmqkernel-run-cell)", "<Cmd>ZmqRunCell<CR>")
vim.keymap.set("n", "<Plug>(zmqkernel-run-cell-and-advance)", "<Cmd>ZmqRunCellAndAdvance<CR>")
vim.keymap.set("n", "<Plug>(zmqkernel-run-line)", "<Cmd>ZmqRunSelection<CR>")
vim.keymap.set("x", "<Plug>(zmqkernel-run-selection)", ":ZmqRunSelection<CR>", { silent = true })
vim.keymap.set("n", "<Plug>(zmqkernel-interrupt)", "<Cmd>ZmqInterrupt<CR>")
vim.keymap.set("n", "<Plug>(zmqkernel-open-image)", "<Cmd>ZmqOpenImage<CR>")
